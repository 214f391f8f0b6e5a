// The libFuzzer target of the import stage: OVAs, OVFs, manifests, and what is compressed.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include <kiln/file.h>
#include <kiln/testing.h>

#include "support/plugins.h"
#include "support/temp.h"

namespace {

const kiln::Stage* stage = nullptr;
const kiln::Format* raw = nullptr;

void import(const std::filesystem::path& file) {
  kiln::fakes::FakeContext ctx;
  ctx.fake_formats.formats["raw"] = raw;
  stage->run_with(ctx, {{"file", kiln::Value{file}}, {"unpack_limit", kiln::Value{kiln::Bytes{1u << 24}}}});
  std::vector<std::byte> bytes(std::min<std::uint64_t>(ctx.produced->size(), 4096));
  ctx.produced->read(ctx.produced->size() - bytes.size(), bytes);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  stage = &kiln::test::load_stage("import");  // before the first input, so that its coverage counts
  raw = &kiln::test::load_format("raw");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const kiln::test::TempDir folder;
  const std::filesystem::path file = folder / "input";
  std::filesystem::remove(file);
  kiln::File::create(file).write_at(0, std::as_bytes(std::span(data, size)));
  try {
    import(file);
  } catch (const kiln::Error& error) {
    if (!error.hint().empty() || std::string(error.what()).starts_with("cannot ")) return 0;
    std::fprintf(stderr, "an Error without a hint: %s\n", error.what());
    std::abort();
  }
  return 0;
}

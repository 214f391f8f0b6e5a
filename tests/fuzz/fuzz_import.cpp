// The libFuzzer target of the import stage: OVAs, OVFs, manifests, and what is compressed.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

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
  std::vector<std::byte> bytes(std::min<std::uint64_t>(ctx.produced->size(), 1u << 20));
  ctx.produced->read(0, bytes);
  ctx.produced->read(ctx.produced->size() - bytes.size(), bytes);
}

/// Makes the checksum of each header of a tar fit (POSIX.1-2017, "ustar Interchange Format"): else hardly a change of
/// one would get past it.
void seal_headers(std::span<std::byte> tar) {
  constexpr std::size_t block = 512, sum_at = 148, sum_size = 8, mark_at = 257;
  for (std::size_t at = 0; at + block <= tar.size(); at += block) {
    const auto header = tar.subspan(at, block);
    if (std::memcmp(header.data() + mark_at, "ustar", 5) != 0) {
      if (at == 0) return;
      continue;
    }
    const auto field = header.subspan(sum_at, sum_size);
    std::ranges::fill(field, std::byte{' '});
    unsigned sum = 0;
    for (const std::byte b : header) sum += std::to_integer<unsigned>(b);
    for (std::size_t digit = 6; digit-- > 0; sum /= 8) field[digit] = static_cast<std::byte>('0' + sum % 8);
    field[6] = std::byte{0};
  }
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
  const auto input = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(input.begin(), input.end());
  seal_headers(bytes);
  kiln::File::create(file).write_at(0, bytes);
  try {
    import(file);
  } catch (const kiln::Error& error) {
    const std::string what = error.what();
    if (!error.hint().empty() || what.starts_with("cannot ") || what.ends_with("is in no format"))
      return 0;  // the last are the words of a fake
    std::fprintf(stderr, "an Error without a hint: %s\n", error.what());
    std::abort();
  }
  return 0;
}

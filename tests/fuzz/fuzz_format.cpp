// The libFuzzer target of one format: KILN_FUZZ_PLUGIN is its library.

#include <cstdio>
#include <cstdlib>

#include "exercise.h"
#include "packed.h"

namespace {

const kiln::Format* format = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  format = &kiln::fuzz::load(KILN_FUZZ_PLUGIN);  // before the first input, so that its coverage counts
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static kiln::fuzz::MemoryFile file;
  file.hold(kiln::fuzz::as_file(format->about().name, std::as_bytes(std::span(data, size))));
  const std::string wrong = kiln::fuzz::exercise(*format, file.path());
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}

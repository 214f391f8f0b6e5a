// The libFuzzer target of preflight's reader of initramfs images.

#include <cstdio>
#include <cstdlib>

#include "initramfs.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string wrong = kiln::fuzz::exercise_initramfs(std::as_bytes(std::span(data, size)));
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}

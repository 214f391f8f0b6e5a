// The libFuzzer target of preflight over the files of a guest.

#include <cstdio>
#include <cstdlib>

#include "guests.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  kiln::fuzz::exercise_guest("");  // loads the stage before the first input, so that its coverage counts
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string wrong = kiln::fuzz::exercise_guest({reinterpret_cast<const char*>(data), size});
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}

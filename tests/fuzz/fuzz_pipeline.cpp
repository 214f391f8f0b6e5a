// The libFuzzer target of what reads pipelines: TOML, variables, parameters, each stage's own check, the plan.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "pipelines.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static kiln::fuzz::Pipelines pipelines;
  const std::string wrong = pipelines.exercise({reinterpret_cast<const char*>(data), size});
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}

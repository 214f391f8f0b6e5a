#include <kiln/param.h>

namespace kiln {

std::string describe(const Type& type) {
  static constexpr const char* one[] = {
      "a boolean", "an integer", "a string", "a size such as \"20G\"", "a duration such as \"90s\"", "a path",
      "a path",    "a table",    "a table"};
  static constexpr const char* many[] = {"booleans", "integers", "strings", "sizes", "durations",
                                         "paths",    "paths",    "tables",  "tables"};
  const auto at = static_cast<std::size_t>(type.kind);
  return type.list ? std::string("a list of ") + many[at] : std::string(one[at]);
}

}  // namespace kiln

#pragma once
// Short ways to write a stage's parameters in a test.

#include <string>
#include <utility>
#include <vector>

#include <kiln/value.h>

namespace kiln::test {

inline Value text(std::string s) {
  return Value{std::move(s)};
}
inline Value number(std::int64_t n) {
  return Value{n};
}
inline Value list(List items) {
  return Value{std::move(items)};
}
inline Value texts(const std::vector<std::string>& items) {
  List all;
  for (const std::string& item : items) all.push_back(text(item));
  return Value{std::move(all)};
}
inline Value table(Table fields) {
  return Value{std::move(fields)};
}

}  // namespace kiln::test

#include "machine/instance_names.h"

#include <algorithm>
#include <cctype>

#include <kiln/error.h>

namespace kiln {
namespace {

bool alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

/// An image's name as an instance's: what a host name cannot hold becomes '-'.
std::string name_from(std::string_view image) {
  std::string name;
  for (const char c : image.substr(0, 50))
    if (alnum(c) || (!name.empty() && name.back() != '-')) name.push_back(alnum(c) ? c : '-');
  while (name.ends_with('-')) name.pop_back();
  return name.empty() ? "machine" : name;
}

/// A name with a place for a number.
struct Pattern {
  std::string before, after;
  std::size_t digits;

  explicit Pattern(std::string_view text) {
    const std::size_t first = text.find('#');
    const std::size_t end = std::min(text.find_first_not_of('#', first), text.size());
    before = text.substr(0, first);
    after = text.substr(end);
    digits = end - first;
  }

  std::string name(std::size_t number) const {
    std::string text = std::to_string(number);
    if (text.size() < digits) text.insert(0, digits - text.size(), '0');
    return before + text + after;
  }
};

Error no_name(std::string_view given) {
  return invalid("\"" + std::string(given) + "\" cannot name an instance",
                 "use letters, digits and '-', at most 63, with a letter or digit at both ends, and one '#' or several "
                 "together for the number");
}

std::vector<std::string> numbered(const std::string& pattern, std::size_t first, std::size_t count,
                                  const std::function<bool(const std::string&)>& taken) {
  const Pattern parts(pattern);
  std::vector<std::string> names;
  for (std::size_t n = first; names.size() < count; ++n) {
    std::string name = parts.name(n);
    if (!valid_instance_name(name)) throw no_name(pattern);
    if (!taken(name)) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

bool valid_instance_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && alnum(name.front()) && alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return alnum(c) || c == '-'; });
}

std::vector<std::string> choose_names(std::string_view pattern, std::string_view image, std::size_t count,
                                      const std::function<bool(const std::string&)>& taken) {
  if (count == 0) return {};
  const bool is_given = !pattern.empty();
  std::string text = is_given ? std::string(pattern) : name_from(image);
  if (text.find('#') != std::string::npos) return numbered(text, 1, count, taken);
  if (!valid_instance_name(text)) throw no_name(text);
  if (count > 1) return numbered(text + "-#", 1, count, taken);
  if (!taken(text)) return {text};
  if (is_given)
    throw Error("there is already an instance \"" + text + "\"", "choose another --name, or: kiln rm " + text);
  return numbered(text + "-#", 2, 1, taken);
}

}  // namespace kiln

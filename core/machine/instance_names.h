#pragma once
// What instances are called.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// Letters, digits and '-', at most 63, beginning and ending with a letter or digit: it becomes a host name.
bool valid_instance_name(std::string_view);

/// Names for `count` new instances. `pattern` is a name, or has one run of '#' where the number goes, with as many
/// digits at least. Without a '#' and for more than one, "-#" is added; numbers that are taken are passed over. An
/// empty pattern is made from the image's name. Throws when the pattern makes no host name, and when the one name that
/// is asked for is taken.
std::vector<std::string> choose_names(std::string_view pattern, std::string_view image, std::size_t count,
                                      const std::function<bool(const std::string&)>& taken);

}  // namespace kiln

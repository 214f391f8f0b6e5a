#pragma once
// Small texts of a guest: configuration, line by line.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/guest.h>

namespace kiln::preflight {

/// A configuration file: nothing when it is not there, is no regular file, or is larger than any sane one.
std::optional<std::string> text_of(Guest&, const std::string& path, std::uint64_t limit = 1u << 20);
/// Without their ends. A last line without an end is one, too.
std::vector<std::string> lines_of(std::string_view text);
std::string text_from(const std::vector<std::string>& lines);
/// What stands between blanks.
std::vector<std::string> words_of(std::string_view line);
std::string_view trimmed(std::string_view);
/// ASCII letters only.
std::string lower(std::string_view);
/// "/etc/fstab:3: /dev/sda1 / ext4": evidence. `line` counts from 1.
std::string at_line(const std::string& path, std::size_t line, std::string_view text);
/// A stranger may have written thousands of lines and files: the first 20, and how many more there are.
void shorten(std::vector<std::string>& evidence);
/// What the patterns find, in their order; the first 1000 of each, because each costs a call of the appliance.
std::vector<std::string> glob_all(Guest&, const std::vector<const char*>& patterns);

}  // namespace kiln::preflight

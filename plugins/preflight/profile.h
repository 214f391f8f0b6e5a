#pragma once
// What a service asks of an image: a TOML file that anybody can add. The README has its keys.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "survey.h"

namespace kiln::preflight {

struct Profile {
  std::string name, summary;
  std::optional<std::uint64_t> file_size, virtual_size;  ///< the most, in bytes
  std::optional<std::int64_t> disks;                     ///< the most
  std::vector<std::string> formats, firmware;            ///< what is taken; empty: anything
  std::set<std::string, std::less<>> required;           ///< codes that are errors
  std::set<std::string, std::less<>> security;           ///< codes that no force gets past
};

/// The file of a name, or of a path: what has a "/" or ends in ".toml". A user's own comes before an installed one.
/// Throws invalid() with the names that there are.
std::filesystem::path profile_file(const std::string& name_or_path);

/// Throws invalid() that names the file and the line, or the key, for whatever is wrong in it.
Profile read_profile(const std::filesystem::path&);

/// The limits that what is known of the disk exceeds.
Findings look_at_limits(const Profile&, const Facts&, std::uint64_t virtual_size, std::size_t disks);

/// The finding as severe as the profile has it. What is a note stays one.
void judge(const Profile&, Finding&);

}  // namespace kiln::preflight

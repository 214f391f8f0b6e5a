#pragma once
// One hostile guest: whatever its files hold, preflight ends with findings or an Error.

#include <string>
#include <string_view>
#include <vector>

namespace kiln::fuzz {

/// A guest as text: "#### /etc/fstab", and in the lines below it what that file holds. "#### fact os.root" and
/// "#### call vfs-uuid" are what the appliance says of it. Looked at, then mended. Returns what is wrong with kiln, or
/// nothing: an exception that is no kiln::Error, a finding without words. One thread.
std::string exercise_guest(std::string_view text);

/// Guests of several distributions, with something of everything that preflight reads.
std::vector<std::string> guest_seeds();

}  // namespace kiln::fuzz

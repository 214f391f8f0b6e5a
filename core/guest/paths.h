#pragma once
// Names of the guest for the calls that do not stay inside it.
//
// Most calls of libguestfs 1.48 change their root to the guest's before they touch a path. Those that run a program of
// the appliance (rm, ln, mv, cp, du, find, tar) only put "/sysroot" in front: there an absolute symbolic link in a
// parent folder, such as /var/log → /data/log, would lead into the appliance. So they get a path without links.

#include <optional>
#include <string>

namespace kiln {

class Appliance;

/// The folder or file itself, every link on the way resolved in the guest. Throws Error when it is not there.
std::string real_path(const Appliance&, const std::string& path);

/// The name in its folder: links on the way are resolved, a link that the name itself is stays one. Nothing when there
/// is no such folder.
std::optional<std::string> name_in_folder(const Appliance&, const std::string& path);

/// Whether it is a folder, perhaps by way of a link.
bool is_folder(const Appliance&, const std::string& path);

}  // namespace kiln

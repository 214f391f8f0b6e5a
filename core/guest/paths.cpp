#include "guest/paths.h"

#include <kiln/text.h>

#include "guest/appliance.h"

namespace kiln {

std::string real_path(const Appliance& a, const std::string& path) {
  return a.text(guestfs_realpath(a.handle(), path.c_str()), "cannot find " + printable(path));
}

bool is_folder(const Appliance& a, const std::string& path) {
  const struct guestfs_is_dir_opts_argv follow { GUESTFS_IS_DIR_OPTS_FOLLOWSYMLINKS_BITMASK, 1 };
  return a.truth(guestfs_is_dir_opts_argv(a.handle(), path.c_str(), &follow), "cannot look at " + printable(path));
}

std::optional<std::string> name_in_folder(const Appliance& a, const std::string& path) {
  std::string name = path;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  const std::size_t slash = name.rfind('/');
  const std::string last = slash == std::string::npos ? name : name.substr(slash + 1);
  const bool nameless = last.empty() || last == "." || last == "..";
  const std::string folder = nameless ? name : name.substr(0, slash == std::string::npos ? 0 : slash) + "/";
  if (!is_folder(a, folder)) return std::nullopt;
  const std::string real = real_path(a, folder);
  if (nameless) return real;
  return real.ends_with('/') ? real + last : real + "/" + last;
}

}  // namespace kiln

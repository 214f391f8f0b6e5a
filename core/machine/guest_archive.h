#pragma once
// Folders as tar, to and from a guest. What comes from a guest is a stranger's archive.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// What a copy did.
struct CopyReport {
  std::uint64_t files = 0, bytes = 0;
  std::vector<std::string> left_out = {};  ///< "name: why", made printable; at most 20 of them
  std::uint64_t left_out_count = 0;

  void leave_out(const std::string& name, const std::string& why);
};

/// Unpacks a tar whose entries all begin with one folder, "web/…" or "./web/…", as the folder `target`, which that one
/// becomes. Modes are kept but for setuid, setgid and sticky; owners are ours. Never writes outside of `target`: names
/// with "..", absolute names and names through a symlink are refused() and end it. Symlinks that lead out of `target`,
/// and what is neither file, folder, symlink nor hard link, are left out. `most`: no file may claim to be longer.
CopyReport unpack(const std::function<std::string()>& next, const std::filesystem::path& target, std::uint64_t most);

/// Packs a folder under another name. Owners become 0:0. Sockets, pipes and devices are left out.
CopyReport pack(const std::filesystem::path& folder, const std::string& name,
                const std::function<void(std::string_view)>& sink);

}  // namespace kiln

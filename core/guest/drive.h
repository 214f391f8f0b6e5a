#pragma once
// The disk as the appliance sees it: an NBD export whose place of writing can be changed while it is in use.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

class LiveDrive;

/// A layer and everything below it, the lowest first, by the backing file names in their headers.
/// Throws Error for what is not qcow2 and for a chain that does not end.
std::vector<std::filesystem::path> chain_of(const std::filesystem::path& overlay);

/// qemu-storage-daemon with the chain open: every driver named, no file probed, discard passed on as far as the file,
/// so that what the guest trims reads as zeros afterwards. Flushes stop at the host's page cache, because a layer that
/// was not sealed is thrown away after a crash anyway; who seals a layer syncs it.
/// The daemon is stopped when its starting thread ends.
class Drive {
 public:
  /// `sockets`: an existing private folder with a short path.
  Drive(const std::filesystem::path& overlay, const std::filesystem::path& sockets);
  Drive(const Drive&) = delete;
  Drive& operator=(const Drive&) = delete;
  ~Drive();

  /// The Unix socket of the export.
  const std::filesystem::path& socket() const noexcept;
  /// From now on writes go to `fresh_overlay`. The file left behind is complete and no longer written.
  void move_to(const std::filesystem::path& fresh_overlay);
  /// From now on the export is the disk of another chain, of the same size. The files of the one that was left are
  /// complete and closed.
  void exchange(const std::filesystem::path& overlay);
  /// Writes out the overlay's tables and closes all files.
  void close();

 private:
  std::filesystem::path socket_;
  std::unique_ptr<LiveDrive> live_;
};

}  // namespace kiln

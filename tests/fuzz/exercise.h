#pragma once
// One hostile file, one format: whatever the bytes are, the answer is a disk or an Error.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include <kiln/format.h>

namespace kiln::fuzz {

/// Loads a format's plugin from its file. Throws std::runtime_error.
const Format& load(const std::string& plugin);

/// A file without a name on any disk, used again for every input. Not for two threads at once.
class MemoryFile {
 public:
  MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile();

  void hold(std::span<const std::byte> bytes);
  const std::filesystem::path& path() const { return path_; }

 private:
  int fd_;
  std::filesystem::path path_;
};

/// Probes, inspects, opens and reads the file, alone and as a layer over another disk, within bounds: at most 1024
/// extents and 1 MiB. Returns what is wrong with the format, or nothing: an exception that is no kiln::Error, an Error
/// without advice, extents that do not tile the disk, data in what was called a hole, two readings that differ.
std::string exercise(const Format&, const std::filesystem::path& file);

}  // namespace kiln::fuzz

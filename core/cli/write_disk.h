#pragma once
// A disk into a file of some format, at disk speed, and the whole file or nothing.

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

#include <kiln/format.h>

#include "disk/manifest.h"
#include "disk/pump.h"

namespace kiln::cli {

/// What a format that holds a whole machine writes besides the system disk.
struct RestOfMachine {
  struct Disk {
    std::shared_ptr<const BlockReader> from;
    Manifest known;
  };
  std::vector<Disk> disks = {};
  Facts known = {};
};

struct WriteDisk {
  const BlockReader& from;
  const Format& format;
  Table options = {};
  const Manifest* known = nullptr;  ///< digests of this very disk: then none is computed again
  std::stop_token stop = {};
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
  RestOfMachine rest = {};  ///< for formats that are packages
  bool as_base = false;     ///< an overlay will stand on it: mode 0444, and safe on the disk before it gets its name
};

/// Writes beside `target` and renames. The system disk's identity is in the result.
PassResult write_disk(const std::filesystem::path& target, const WriteDisk&);

/// Options as the command line has them ("compression=zstd"), typed and checked against the format's parameters.
Table format_options(const std::vector<std::pair<std::string, std::string>>& given, const Format&);

}  // namespace kiln::cli

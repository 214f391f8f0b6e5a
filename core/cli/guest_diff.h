#pragma once
// What differs between two guests, from what an appliance has seen of them. No bytes are read here.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guest/viewer.h"

namespace kiln::cli {

/// A package, a partition or a kernel: empty where it is not there.
struct NamedChange {
  std::string name, before, after;
};

/// Both point into the views; null where the file is not there.
struct FileChange {
  const ViewedFile* before = nullptr;
  const ViewedFile* after = nullptr;
  std::vector<std::string> what = {};  ///< of changed ones: "content", "size", "mode", "owner", "kind", "target"
  /// Regular files of both sides whose bytes have to be compared before it is known whether they are the same.
  bool unsure = false;
  /// Bytes in blocks of 4 KiB that differ; nothing when they were not compared.
  std::optional<std::uint64_t> bytes = {};

  const std::string& path() const { return before != nullptr ? before->path : after->path; }
};

struct GuestDiff {
  std::vector<NamedChange> system, partitions, kernels, packages;
  std::vector<FileChange> added, removed, changed;
};

/// `thorough`: files are unsure also when the file systems say that nobody has touched them (same inode, size, times).
/// The views must outlive the result.
GuestDiff compare(const GuestView& before, const GuestView& after, bool thorough);

/// "-rw-r--r--"
std::string mode_text(std::uint32_t mode);

}  // namespace kiln::cli

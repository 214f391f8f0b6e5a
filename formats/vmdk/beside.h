#pragma once
// The files of a disk that consists of several: plain names in the descriptor's own folder.

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include <kiln/file.h>

namespace kiln::vmdk {

/// Opens extents, each file once and never the descriptor, whatever its names are.
class Beside {
 public:
  /// Throws refused() when `descriptor` is a part of another file: nothing lies beside it.
  explicit Beside(const File& descriptor);

  /// `name` was found plain by parse(). Throws Error when it is not there, refused() when it is no regular file (a
  /// link is none) or was opened before.
  File open(const std::string& name);

 private:
  using Id = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

  const File& descriptor_;
  std::set<Id> seen_;
};

}  // namespace kiln::vmdk

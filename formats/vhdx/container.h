#pragma once
// A VHDX file's bytes as they are once its log is replayed.

#include <cstdint>
#include <span>

#include <kiln/file.h>

#include "header.h"
#include "log.h"

namespace kiln::vhdx {

/// All but the headers and the log is read through it. Const methods may be called from any thread.
class Container {
 public:
  /// Reads the header and replays the log into memory. Throws as read_header() and replay_log() do.
  explicit Container(File);

  const File& file() const noexcept { return file_; }
  const Header& header() const noexcept { return header_; }
  const Replay& replay() const noexcept { return replay_; }
  /// At least that of the file: the log may have made it longer, by zeros.
  std::uint64_t size() const noexcept { return replay_.file_size; }

  /// Reads all of `into`; past the end is an Error.
  void read_at(std::uint64_t offset, std::span<std::byte> into) const;
  /// How many bytes from `offset` on, up to `limit`, are a hole of the file and so read as zeros.
  std::uint64_t hole_at(std::uint64_t offset, std::uint64_t limit) const;
  /// How many from `offset` on, where no hole is, may be data.
  std::uint64_t data_at(std::uint64_t offset, std::uint64_t limit) const;

 private:
  File file_;
  Header header_;
  Replay replay_;
};

}  // namespace kiln::vhdx

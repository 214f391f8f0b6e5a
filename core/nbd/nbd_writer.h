#pragma once
// A disk that QEMU exports over NBD, to write to.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace kiln {

/// One connection. One thread at a time. Throws Error with libnbd's words when the other side refuses.
class NbdWriter {
 public:
  NbdWriter(const std::filesystem::path& socket, const std::string& export_name);
  NbdWriter(const NbdWriter&) = delete;
  NbdWriter& operator=(const NbdWriter&) = delete;
  ~NbdWriter();

  std::uint64_t size() const;
  void write(std::uint64_t offset, std::span<const std::byte>);
  /// Asks not to allocate: zeros where the disk below has data are marked, and take no space.
  void zero(std::uint64_t offset, std::uint64_t length);
  /// Everything is on the disk after it, and the connection is closed.
  void finish();

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace kiln

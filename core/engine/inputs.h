#pragma once
// Digests of the files that parameters name. A file that has not changed is not read again: its digest is remembered
// with what the file system says of it (device, inode, size, times).

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <kiln/digest.h>

namespace kiln::engine {

/// "dev:inode:size:mtime_ns:ctime_ns". Throws Error when there is no such file.
std::string identity_of(const std::filesystem::path&);

/// One thread at a time. save() is optional: it only makes the next process faster.
class InputDigests {
 public:
  /// `file`: where digests are remembered; it need not exist.
  explicit InputDigests(std::filesystem::path file);

  /// Hexadecimal. Of a file: its permission bits and content. Of a folder: names, permission bits, content and the
  /// targets of symbolic links of everything below it, in the order of the names.
  std::string digest(const std::filesystem::path&);
  /// Hexadecimal, of a secret's text. Salted with a random number of this home, so that a short password cannot be
  /// found by trying.
  std::string digest_secret(const std::string& text);
  /// Writes what is new. Failing to is not an error.
  void save() noexcept;

 private:
  struct Known {
    std::string identity, digest;
  };
  std::string of_file(const std::filesystem::path&);

  std::filesystem::path file_;
  std::optional<std::string> salt_;
  std::map<std::string, Known> known_;
  bool changed_ = false;
};

}  // namespace kiln::engine

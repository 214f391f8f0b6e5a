#pragma once
// A real HTTP server of a test's own, with the faults that file_server.py lists. It ends with the object, and with the
// program when that is killed.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/temp.h"

namespace kiln::test {

class FileServer {
 public:
  /// Waits until it listens. With a certificate and its key it speaks TLS. Throws std::runtime_error when it does not.
  explicit FileServer(const std::filesystem::path& certificate = {}, const std::filesystem::path& key = {});
  FileServer(const FileServer&) = delete;
  FileServer& operator=(const FileServer&) = delete;
  ~FileServer();

  void put(const std::string& name, const std::string& content) const;
  /// "http://127.0.0.1:PORT/" and this.
  std::string url(const std::string& rest) const { return scheme_ + "://127.0.0.1:" + port() + "/" + rest; }
  std::string port() const { return std::to_string(port_); }
  /// What was asked for since the last call, a line each.
  std::vector<std::string> requests();

 private:
  TempDir folder_;
  std::string scheme_;
  int port_ = 0;
  pid_t pid_ = -1;
  std::size_t told_ = 0;
};

}  // namespace kiln::test

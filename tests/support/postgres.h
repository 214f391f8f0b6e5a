#pragma once
// A PostgreSQL server of a test program's own: no TCP, a socket in a temporary folder, gone when the program ends.

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "support/temp.h"

namespace kiln::test {

class PostgresServer {
 public:
  /// One for the whole program, started when it is first asked for. Throws std::runtime_error when it does not start.
  static PostgresServer& shared();

  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer();

  /// Makes an empty database; returns its URL.
  std::string new_database();
  /// The same database for another user, who is made, and who may change what is in its tables.
  std::string as_user(const std::string& url, const std::string& user);

 private:
  PostgresServer();
  void start();

  TempDir folder_;
  std::filesystem::path programs_;
  pid_t pid_ = -1;
  std::atomic<int> databases_ = 0;
};

}  // namespace kiln::test

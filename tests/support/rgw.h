#pragma once
// A real object store of a test program's own: Ceph's RADOS Gateway on loopback, in memory. It ends with the program,
// also when that is killed.

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "support/temp.h"

namespace kiln::test {

class ObjectStore {
 public:
  static constexpr const char *access_key = "KILNACCESS", *secret_key = "KILNSECRET";

  /// One for the whole program, started when it is first asked for: that takes five seconds. Throws std::runtime_error
  /// when it does not start.
  static ObjectStore& shared();

  ObjectStore(const ObjectStore&) = delete;
  ObjectStore& operator=(const ObjectStore&) = delete;
  ~ObjectStore();

  /// Makes an empty bucket; returns its URL.
  std::string new_bucket();
  /// The URL of a bucket that does not exist.
  std::string no_bucket() const { return address() + "/none"; }

 private:
  ObjectStore();
  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string config() const { return (folder_ / "ceph.conf").string(); }
  void start();
  void write_config();
  void start_monitor();
  void start_storage();
  void start_gateway();
  void keep_storage();
  pid_t spawn(std::vector<std::string> command, const std::string& log);
  void end() noexcept;

  TempDir folder_;
  int monitor_port_ = 0, port_ = 0;
  std::vector<pid_t> processes_;
  pid_t storage_ = -1;  // one of them
  std::atomic<int> buckets_ = 0;
};

}  // namespace kiln::test

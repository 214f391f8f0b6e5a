#pragma once
// A libguestfs handle that cleans up, throws kiln::Error, and can be stopped from another thread.
// Written for the C API of libguestfs 1.48 (guestfs(3)).

#include <guestfs.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <kiln/context.h>

namespace kiln {

class Qmp;

/// What the appliance is made of. The drive is always attached as raw over NBD, read-write: `--ro` of libguestfs 1.48
/// lays an overlay of unknown format over it and then probes what the guest wrote.
struct ApplianceOptions {
  std::filesystem::path drive_socket;
  std::filesystem::path
      folder;  ///< for libguestfs' own files: what a killed kiln leaves there is removed by the next one
  bool force_tcg = true;
  unsigned memory_mib = 768;
  unsigned cpus = 1;
  std::stop_token stop = {};
  /// Of a second disk, which is /dev/sdb. Empty: there is none.
  std::filesystem::path second_socket = {};
  bool sandboxed = true;  ///< false: --no-sandbox
};

/// Where the appliance's messages go. Called on the thread that makes a call.
struct Listener {
  std::function<void(std::string_view)> log;
  std::function<void(const Progress&)> progress;
};

/// One running appliance. One thread at a time. Every checking function throws cancelled() when stop was asked for.
class Appliance {
 public:
  /// Starts it. `listener` must outlive the object; its members may change between calls.
  Appliance(const ApplianceOptions&, const Listener& listener);
  Appliance(const Appliance&) = delete;
  Appliance& operator=(const Appliance&) = delete;
  ~Appliance();  ///< kills it when shutdown() was not called

  /// Unmounts, syncs, powers off.
  void shutdown();

  guestfs_h* handle() const noexcept { return handle_; }
  Duration launch_time() const noexcept { return launch_time_; }

  // --- What a call of the C API returned, checked. `what` says what was tried: "cannot read /etc/fstab".
  void check(int result, const std::string& what) const;
  bool truth(int result, const std::string& what) const;
  std::int64_t number(std::int64_t result, const std::string& what) const;
  std::string text(char* owned, const std::string& what) const;                ///< takes over the string
  std::vector<std::string> list(char** owned, const std::string& what) const;  ///< takes over the strings
  [[noreturn]] void fail(const std::string& what) const;
  /// libguestfs' own message for the last call that failed, as it came.
  std::string last_error() const;

 private:
  static void on_event(guestfs_h*, void* self, std::uint64_t event, int, int, const char* buffer, std::size_t length,
                       const std::uint64_t* array, std::size_t array_length);
  void configure(const ApplianceOptions&);
  void attach(const std::filesystem::path& socket);
  /// Puts a program in QEMU's place that starts it in the sandbox.
  void confine(const ApplianceOptions&);
  void launch();
  /// Hears QEMU's own events. A write that failed has stopped the machine for good: it is killed, and the call that
  /// waits for it fails with what disk_error_ says. (Told of the failure, the guest's kernel would lose data silently.)
  void watch_disk(Qmp machine);
  void disk_failed(const std::string& reason);
  void hear(std::uint64_t event, std::string_view text, const std::uint64_t* array, std::size_t array_length);
  void kill() noexcept;
  [[noreturn]] void fail_to_start() const;

  const Listener& listener_;
  std::stop_token stop_;
  guestfs_h* handle_ = nullptr;
  /// The machine's process, known once it is up; 0 when it is not ours to kill.
  std::atomic<pid_t> machine_{0};
  Duration launch_time_{0};
  std::atomic<bool> launching_ = false;
  bool sandboxed_ = true;
  std::string drive_argument_;  ///< stands in the machine's command line, and in no other one
  std::filesystem::path events_socket_;
  mutable std::mutex disk_mutex_;
  std::string disk_error_;  // of disk_mutex_; empty: none
  std::string console_;     // the last of what the appliance printed while it started
  std::stop_callback<std::function<void()>> on_stop_;
  std::jthread disk_watch_;  ///< last: it uses the rest
};

}  // namespace kiln

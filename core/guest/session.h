#pragma once
// One libguestfs appliance on one disk, shared by neighbouring stages although each of them writes an overlay of its
// own.
//
// The appliance does not open the overlay itself: qemu-storage-daemon has it open and exports it over a Unix socket
// (NBD). At a stage's end move_to() lays the next overlay on top while the export goes on, so the overlay that was
// left is complete and read-only, and the appliance, which takes seconds to start, keeps running.
// Measured and tested with libguestfs 1.48 and QEMU 7.2 (QMP: blockdev-add, blockdev-snapshot, blockdev-reopen).

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/context.h>
#include <kiln/guest.h>

namespace kiln {

/// What a session needs to know before it may start an appliance.
struct SessionOptions {
  /// The qcow2 that takes the writes. Its chain is read from the backing file names of kiln's own layers; every one of
  /// them must be qcow2, and is opened as that, never probed.
  std::filesystem::path overlay;
  /// An existing private folder for sockets. The caller removes it. When its path is too long for a Unix socket
  /// (107 bytes) a folder below the system's temporary folder is used instead, and removed by close().
  std::filesystem::path run_dir;
  /// True: emulate the processor. Ask the accelerator probe: /dev/kvm that opens may still hang.
  bool force_tcg = true;
  unsigned memory_mib = 768;
  unsigned cpus = 1;
  std::stop_token stop = {};
  /// [any thread] Lines of the appliance and of programs run in the guest. Never holds what was written to files.
  std::function<void(std::string_view)> log = {};
  /// [the session's thread] "appliance up 9.1 s" and the progress of long transfers.
  std::function<void(const Progress&)> progress = {};
  bool sandboxed = true;  ///< whether the appliance's machine runs in the sandbox
};

/// The appliance starts at the first call that needs it. One thread at a time; qemu-storage-daemon dies with the thread
/// that made the first call, so that thread must outlive the session. A call that was interrupted by the stop
/// token throws cancelled(), and leaves a session that can only be closed.
class Session final : public Guest {
 public:
  explicit Session(SessionOptions);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();  ///< ends the appliance at once; what was not flushed may be lost

  /// Replaces the receivers of log and progress: one set for each stage.
  void listen(std::function<void(std::string_view)> log, std::function<void(const Progress&)> progress);
  /// Unmounts and writes out everything: the file systems in the overlay are clean after it. The next call mounts
  /// again by itself. Nothing happens when the appliance was not started.
  void flush();
  /// flush(), then everything written from here on goes to `fresh_overlay`, an empty qcow2 of the same virtual size.
  /// Its header may name the overlay left behind under any name: it is not looked up. After the call the file that was
  /// left is complete; it may be synced, made read-only and renamed while the session is open.
  void move_to(const std::filesystem::path& fresh_overlay);
  /// flush(), then the appliance has another disk in the place of the first: `overlay`, of the same size and on the
  /// same base, so that what was found of its partitions and its system stays true. The file left behind is complete.
  void exchange(const std::filesystem::path& overlay);
  /// flush(), then ends the appliance and lets go of every file. Idempotent. A later call would throw.
  void close();

  bool launched() const noexcept;
  /// How long the appliance took to start. Zero before.
  Duration launch_time() const noexcept;

  const Facts& os() override;
  bool exists(const std::string& path) override;
  bool is_file(const std::string& path) override;
  bool is_directory(const std::string& path) override;
  std::string read(const std::string& path, std::uint64_t limit = 16u << 20) override;
  void write(const std::string& path, std::string_view content) override;
  void append(const std::string& path, std::string_view content) override;
  void upload(const std::filesystem::path& host, const std::string& path) override;
  void copy_in(const std::filesystem::path& host, const std::string& directory) override;
  void unpack(const std::filesystem::path& tar, const std::string& directory) override;
  void make_directory(const std::string& path) override;
  void link(const std::string& target, const std::string& path) override;
  void chmod(const std::string& path, unsigned mode) override;
  void chown(const std::string& path, std::int64_t uid, std::int64_t gid) override;
  void remove(const std::string& path) override;
  void truncate(const std::string& path) override;
  std::vector<std::string> glob(const std::string& pattern) override;
  std::string run(const std::string& command) override;
  std::vector<std::string> filesystems() override;
  /// The words are listed in calls.cpp; one that is not there is refused by name.
  std::string call(const std::vector<std::string>& words) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of the library that is loaded: "1.48.6".
std::string libguestfs_version();
/// Whether a package, for example "xfsprogs", is in the appliance that libguestfs builds here (supermin(1): the files
/// "packages*" in its folder list them).
bool appliance_has(std::string_view package);

}  // namespace kiln

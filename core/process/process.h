#pragma once
// Host programs: run to their end, kept as children, or set free as daemons. Never through a shell.
//
// Every program gets a process group of its own (so that the terminal's SIGINT does not reach it, and so that it is
// stopped with all it started), a minimal environment, default signal dispositions and no descriptor of ours but 0, 1,
// 2 and those that are passed to it.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/context.h>

namespace kiln {

/// How a program ended. `signal` is 0 when it exited by itself.
struct Exit {
  int status = 0;
  int signal = 0;
  bool ok() const { return status == 0 && signal == 0; }
};

/// "exited with status 1", "was killed by signal 9 (Killed)".
std::string describe(const Exit&);

/// Where run() leads a program's output, and when it ends it.
struct RunOptions {
  std::stop_token stop = {};                ///< TERM to the group, KILL after `grace`; run() then throws cancelled()
  Duration timeout{0};                      ///< 0: none. Past it the program is stopped and run() throws
  Duration grace{std::chrono::seconds(5)};  ///< between TERM and KILL
  std::filesystem::path directory = {};     ///< working directory; empty: ours
  /// stdout goes to the first of these that is set; otherwise into Outcome::output.
  std::filesystem::path output_file = {};
  std::function<void(std::string_view line)> on_line = {};  ///< [the caller's thread] without the line end
  std::uint64_t output_limit = 64u << 20;                   ///< more captured bytes than this is an Error
  std::filesystem::path error_log = {};                     ///< all of stderr is appended to it
  std::function<void(std::string_view line)> on_error_line = {};
  std::vector<int> passed = {};  ///< become its descriptors 3, 4, …
};

/// What run() saw of a program.
struct Outcome {
  Exit exit;
  std::string output;                    ///< captured stdout
  std::vector<std::string> error_lines;  ///< the last 40 lines of stderr, each cut at 4 KiB
  Duration elapsed{};
};

/// Runs a program to its end and kills what is left of its group. The caller's thread waits.
/// A program that fails is no Error here; one that cannot be started, that overruns its time or its output limit is.
/// The program dies with the calling thread (PR_SET_PDEATHSIG), so a killed kiln leaves it not behind. What it has
/// started itself is another matter: a program that starts others belongs into a process namespace (see the stage
/// bootstrap).
Outcome run(const Command&, const RunOptions& = {});

/// run(), and an Error such as "qemu-img exited with status 1" with stderr's last lines when it fails. Returns stdout.
std::string run_checked(const Command&, const RunOptions& = {});

/// The Error of a program that ended badly, for callers of run() that look at the Outcome first.
Error failure_of(const Command&, const Outcome&);

/// The full path of a program on the search path (PATH, then the sbin folders); nothing when there is none.
std::optional<std::filesystem::path> find_program(std::string_view name);
/// The same. Error with the Debian package as a hint when there is none.
std::filesystem::path require_program(const std::string& name);
/// One of kiln's own programs, which people do not start: <prefix>/libexec/kiln, beside <prefix>/bin, in an installed
/// tree and in a build tree alike. Error when it is missing.
std::filesystem::path require_own_program(const std::string& name);
/// The Debian package that holds a program kiln uses; empty when it is none of those.
std::string_view package_of(std::string_view program);
/// PATH, HOME, LC_ALL=C and TMPDIR, then `additions` ("NAME=value"; a later one replaces).
std::vector<std::string> minimal_environment(const std::vector<std::string>& additions = {});

/// A program that runs beside us. One thread at a time may use it.
/// It dies with the thread that started it, so start it on a thread that outlives it.
class Child {
 public:
  /// stdout and stderr are appended to `output`; empty: discarded. Command::input is its stdin. `passed` become its
  /// descriptors 3, 4, …
  static Child start(const Command&, const std::filesystem::path& output = {},
                     const std::filesystem::path& directory = {}, std::span<const int> passed = {});
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  ///< kills the group at once, and reaps

  pid_t pid() const noexcept { return pid_; }
  int pidfd() const noexcept { return pidfd_; }  ///< readable once it ended; ours
  bool alive();
  /// Waits at most `limit`. Nothing when it still runs then.
  std::optional<Exit> wait(Duration limit);
  /// TERM to the group, KILL after `grace`.
  Exit terminate(Duration grace = std::chrono::seconds(5));
  const std::string& name() const noexcept { return name_; }

 private:
  Child(pid_t pid, int pidfd, std::string name) : pid_(pid), pidfd_(pidfd), name_(std::move(name)) {}
  void reap();
  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::string name_;
  std::optional<Exit> exit_;
};

/// Starts a program in a session of its own that outlives kiln; it is init's child, never a zombie of ours.
/// stdout and stderr are appended to `output`. Returns its pid.
pid_t start_daemon(const Command&, const std::filesystem::path& output, const std::filesystem::path& directory = {});

/// The same for a daemon that says something first: waits until it closes its standard output, and returns what it
/// wrote there, at most 4 KiB. stderr is appended to `errors`.
std::string start_daemon_and_hear(const Command&, const std::filesystem::path& errors,
                                  const std::filesystem::path& directory = {});

/// A child that goes on when we end, unlike those above; the caller reaps it. `third` becomes its descriptor 3. What it
/// writes goes to our stderr.
pid_t start_surviving_child(const Command&, int third);
/// How a child of ours ended, once it has; waits for that.
Exit reap_child(pid_t);

/// Another's process, told apart from a later one with the same pid by its start time.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t started = 0;  ///< /proc/PID/stat field 22: clock ticks after the host's boot
  bool operator==(const ProcessId&) const = default;
};

/// This boot of the host (proc(5): /proc/sys/kernel/random/boot_id); empty when the host does not tell.
std::string host_boot_id();
/// Nothing when no such process runs (a zombie does not).
std::optional<ProcessId> identify(pid_t);
/// Who waits for that process, when a program of that name (at most 15 bytes, as proc(5) tells it) does.
std::optional<ProcessId> parent_of(const ProcessId&, std::string_view program);
/// How long it has been running.
Duration running_time(const ProcessId&);
/// Sends a signal to exactly that process; false when it is gone.
bool signal_process(const ProcessId&, int signal);
/// True when it is gone within `limit`.
bool wait_gone(const ProcessId&, Duration limit);

}  // namespace kiln

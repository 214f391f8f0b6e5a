#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "process/process.h"
#include "process/spawn.h"

namespace kiln {
namespace {

using Clock = std::chrono::steady_clock;

bool readable_within(int fd, Duration limit) {
  const auto until = Clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::ceil<Duration>(until - Clock::now());
    pollfd p{fd, POLLIN, 0};
    const int n = ::poll(&p, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30)));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

}  // namespace

std::string describe(const Exit& exit) {
  if (exit.signal == 0) return "exited with status " + std::to_string(exit.status);
  const char* name = ::strsignal(exit.signal);
  return "was killed by signal " + std::to_string(exit.signal) + (name ? " (" + std::string(name) + ")" : "");
}

Child Child::start(const Command& command, const std::filesystem::path& output, const std::filesystem::path& directory,
                   std::span<const int> passed) {
  const Fd in = input_file(command.input);
  const Fd out = append_file(output);
  const std::vector<Fd> copies = copies_to_pass(passed);
  const pid_t pid = spawn_child(command, {in.get(), out.get(), out.get(), directory, numbers_of(copies)});
  return Child(pid, open_pidfd(pid).release(), command.program);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      name_(std::move(other.name_)),
      exit_(other.exit_) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    Child ending(std::move(*this));
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::exchange(other.pidfd_, -1);
    name_ = std::move(other.name_);
    exit_ = other.exit_;
  }
  return *this;
}

Child::~Child() {
  if (pid_ > 0 && !exit_) {
    ::kill(-pid_, SIGKILL);
    reap();
  }
  if (pidfd_ >= 0) ::close(pidfd_);
}

void Child::reap() {
  ::kill(-pid_, SIGKILL);  // before waitpid: until then the group's number cannot be anybody else's
  exit_ = reap_child(pid_);
}

bool Child::alive() {
  return !wait(Duration(0));
}

std::optional<Exit> Child::wait(Duration limit) {
  if (!exit_ && readable_within(pidfd_, limit)) reap();
  return exit_;
}

Exit Child::terminate(Duration grace) {
  if (exit_) return *exit_;
  ::kill(-pid_, SIGTERM);
  if (!wait(grace)) reap();
  return *exit_;
}

pid_t start_daemon(const Command& command, const std::filesystem::path& output,
                   const std::filesystem::path& directory) {
  const Fd in = input_file(command.input);
  const Fd out = append_file(output);
  return spawn_daemon(command, {in.get(), out.get(), out.get(), directory});
}

std::string start_daemon_and_hear(const Command& command, const std::filesystem::path& errors,
                                  const std::filesystem::path& directory) {
  constexpr std::size_t longest = 4096;
  const Fd in = input_file(command.input), err = append_file(errors);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
  const Fd hears = lifted(ends[0]);
  Fd says = lifted(ends[1]);
  spawn_daemon(command, {in.get(), says.get(), err.get(), directory});
  says.reset();
  std::string heard;
  for (std::array<char, 256> bytes; heard.size() < longest;) {
    const ssize_t n = ::read(hears.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    heard.append(bytes.data(), static_cast<std::size_t>(n));
  }
  return heard;
}

pid_t start_surviving_child(const Command& command, int third) {
  const Fd in = input_file(command.input);
  const Fd out(::fcntl(2, F_DUPFD_CLOEXEC, 4));
  if (!out) throw_errno("cannot duplicate a descriptor");
  const std::vector<Fd> copies = copies_to_pass({&third, 1});
  SpawnIo io{in.get(), out.get(), out.get()};
  io.passed = numbers_of(copies);
  io.survives = true;
  return spawn_child(command, io);
}

Exit reap_child(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFSIGNALED(status) ? Exit{0, WTERMSIG(status)} : Exit{WEXITSTATUS(status), 0};
}

std::string host_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

namespace {

/// What /proc/PID/stat tells of a process.
struct Stat {
  std::string name, state;
  pid_t parent = 0;
  std::uint64_t started = 0;
};

std::optional<Stat> stat_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  // proc(5): field 2, the name, may hold anything, so fields are counted from its last ')'.
  const std::size_t begin = text.find('('), end = text.rfind(')');
  if (begin == std::string::npos || end == std::string::npos) return std::nullopt;
  Stat stat;
  stat.name = text.substr(begin + 1, end - begin - 1);
  std::istringstream fields(text.substr(end + 1));
  std::string skipped;
  fields >> stat.state >> stat.parent;
  for (int field = 5; field < 22; ++field) fields >> skipped;
  if (!(fields >> stat.started)) return std::nullopt;
  return stat;
}

}  // namespace

std::optional<ProcessId> identify(pid_t pid) {
  const auto stat = stat_of(pid);
  if (!stat || stat->state == "Z" || stat->state == "X") return std::nullopt;
  return ProcessId{pid, stat->started};
}

std::optional<ProcessId> parent_of(const ProcessId& id, std::string_view program) {
  const auto child = stat_of(id.pid);
  if (!child || child->started != id.started) return std::nullopt;
  const auto parent = stat_of(child->parent);
  if (!parent || parent->name != program) return std::nullopt;
  return ProcessId{child->parent, parent->started};
}

Duration running_time(const ProcessId& id) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const std::uint64_t started = id.started / ticks, since_boot = static_cast<std::uint64_t>(now.tv_sec);
  return std::chrono::seconds(since_boot > started ? since_boot - started : 0);
}

bool signal_process(const ProcessId& id, int signal) {
  const Fd pidfd = open_pidfd(id.pid);
  // The descriptor is opened first: what it names cannot change between the check and the signal.
  if (!pidfd || identify(id.pid) != id) return false;
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
}

bool wait_gone(const ProcessId& id, Duration limit) {
  const Fd pidfd = open_pidfd(id.pid);
  if (!pidfd || identify(id.pid) != id) return true;
  return readable_within(pidfd.get(), limit);
}

}  // namespace kiln

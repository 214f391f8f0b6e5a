#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

Child Child::start(const Command& command, const std::filesystem::path& output,
                   const std::filesystem::path& directory) {
  const Fd in = input_file(command.input);
  const Fd out = append_file(output);
  const pid_t pid = spawn_child(command, {in.get(), out.get(), out.get(), directory});
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
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  exit_ = WIFSIGNALED(status) ? Exit{0, WTERMSIG(status)} : Exit{WEXITSTATUS(status), 0};
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

std::string host_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::optional<ProcessId> identify(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  // proc(5): field 2, the name, may hold anything, so fields are counted from its last ')'.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state, skipped;
  fields >> state;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  ProcessId id{pid, 0};
  if (!(fields >> id.started) || state == "Z" || state == "X") return std::nullopt;
  return id;
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

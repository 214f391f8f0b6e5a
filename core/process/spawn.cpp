#include "process/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/process/v2/posix/default_launcher.hpp>
#include <boost/process/v2/process.hpp>
#include <cerrno>
#include <csignal>

#include "process/process.h"

namespace kiln {
namespace {

namespace bp = boost::process::v2;
using Argv = const char* const*;

/// Runs in the forked child, between fork and exec: only async-signal-safe calls.
struct ChildSetup {
  SpawnIo io;
  pid_t parent = 0;
  int pid_pipe = -1;  // daemons: where the grandchild tells its pid

  template <class Launcher>
  boost::system::error_code on_exec_setup(Launcher&, const bp::filesystem::path&, Argv(&)) const {
    reset_signals();
    // Boost 1.81's close_all() skips the gaps of its list (it compares an entry with itself), so they are marked here.
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    const bool ok = (pid_pipe >= 0 ? become_daemon() : become_group()) && place(io.in, 0) && place(io.out, 1) &&
                    place(io.err, 2) && place_passed() && (io.directory.empty() || ::chdir(io.directory.c_str()) == 0);
    return ok ? boost::system::error_code{} : boost::system::error_code(errno, boost::system::system_category());
  }

  // The launcher's own exit() would run our static destructors and flush our streams a second time.
  template <class Launcher>
  void on_exec_error(Launcher&, const bp::filesystem::path&, Argv(&), const boost::system::error_code&) const {
    ::_exit(127);
  }

  bool place_passed() const {
    for (std::size_t i = 0; i < io.passed.size(); ++i)
      if (!place(io.passed[i], static_cast<int>(3 + i))) return false;
    return true;
  }

  static bool place(int fd, int target) { return ::dup2(fd, target) == target; }

  static void reset_signals() {
    for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGCHLD}) ::signal(s, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  }

  bool become_group() const {
    if (io.survives) return ::setpgid(0, 0) == 0;
    if (::setpgid(0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return false;
    if (::getppid() != parent) ::_exit(127);  // it died before the request was in place
    return true;
  }

  bool become_daemon() const {
    if (::setsid() < 0) return false;
    const pid_t inner = ::fork();
    if (inner < 0) return false;
    if (inner > 0) ::_exit(0);
    const pid_t self = ::getpid();
    return ::write(pid_pipe, &self, sizeof self) == sizeof self;
  }
};

pid_t launch(const Command& command, const ChildSetup& setup) {
  const std::filesystem::path program = require_program(command.program);
  const std::vector<std::string> environment = minimal_environment(command.environment);
  std::vector<const char*> env;
  for (const std::string& e : environment) env.push_back(e.c_str());
  env.push_back(nullptr);

  boost::asio::io_context context;
  bp::posix::default_launcher launcher;
  launcher.env = env.data();
  boost::system::error_code error;
  auto process = launcher(context.get_executor(), error, program.string(), command.args, setup);
  if (error) {
    // A child that did not reach exec is left to us to reap.
    if (launcher.pid > 0) ::waitpid(launcher.pid, nullptr, 0);
    throw system_error("cannot start " + command.program, error.value());
  }
  process.detach();
  return launcher.pid;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void Fd::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

int Fd::release() noexcept {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void throw_errno(const std::string& what) {
  throw system_error(what, errno);
}

Fd lifted(int fd) {
  Fd low(fd);
  if (fd < 0 || fd > 2) return low;
  Fd high(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!high) throw_errno("cannot duplicate a descriptor");
  return high;
}

std::vector<Fd> copies_to_pass(std::span<const int> descriptors) {
  std::vector<Fd> copies;
  for (const int descriptor : descriptors) {
    copies.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, static_cast<int>(3 + descriptors.size())));
    if (!copies.back()) throw_errno("cannot duplicate a descriptor");
  }
  return copies;
}

std::vector<int> numbers_of(const std::vector<Fd>& descriptors) {
  std::vector<int> numbers;
  for (const Fd& descriptor : descriptors) numbers.push_back(descriptor.get());
  return numbers;
}

Fd input_file(const std::string& text) {
  if (text.empty()) {
    Fd null = lifted(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null) throw_errno("cannot open /dev/null");
    return null;
  }
  Fd memory = lifted(::memfd_create("kiln-input", MFD_CLOEXEC));
  if (!memory) throw_errno("cannot make a file in memory");
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(memory.get(), text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) throw_errno("cannot write a file in memory");
    if (n > 0) at += static_cast<std::size_t>(n);
  }
  ::lseek(memory.get(), 0, SEEK_SET);
  return memory;
}

Fd append_file(const std::filesystem::path& path) {
  const char* name = path.empty() ? "/dev/null" : path.c_str();
  Fd file = lifted(::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) throw_errno(std::string("cannot write ") + name);
  return file;
}

Fd open_pidfd(pid_t pid) {
  return lifted(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // close-on-exec by definition
}

pid_t spawn_child(const Command& command, const SpawnIo& io) {
  return launch(command, ChildSetup{io, ::getpid()});
}

pid_t spawn_daemon(const Command& command, const SpawnIo& io) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
  const Fd read_end = lifted(ends[0]);
  Fd write_end = lifted(ends[1]);
  const pid_t between = launch(command, ChildSetup{io, ::getpid(), write_end.get()});
  ::waitpid(between, nullptr, 0);
  write_end.reset();
  pid_t pid = -1;
  if (::read(read_end.get(), &pid, sizeof pid) != sizeof pid) throw Error(command.program + " did not start");
  return pid;
}

}  // namespace kiln

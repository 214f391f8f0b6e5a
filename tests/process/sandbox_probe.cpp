// A program of a stranger's, as it were: it tries what a sandbox is to prevent, and prints what it could do.
// Arguments: the port of a server on the host's loopback, a file of the host, the number of the process that started
// it. With a fourth one it tries only what harms nobody, to show that it could where there is no sandbox.

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace {

void tell(const char* what, bool could) {
  std::printf("%s %s\n", what, could ? "yes" : "no");
  std::fflush(stdout);
}

bool opens(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags, 0644);
  if (fd < 0) return false;
  ::close(fd);
  return true;
}

bool lists(const std::string& path) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(path, error);
  return !error;
}

bool connects(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return false;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

bool forks() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  if (pid > 0) ::waitpid(pid, nullptr, 0);
  return pid > 0;
}

bool writes_a_terabyte(const std::string& folder) {
  const int fd = ::open((folder + "/large").c_str(), O_RDWR | O_CREAT, 0644);
  return fd >= 0 && ::ftruncate(fd, off_t{1} << 40) == 0;
}

/// Everything in the sandbox's own process namespace: init, and us.
bool sees_others() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc"))
    if (entry.path().filename().string().find_first_not_of("0123456789") == std::string::npos) ++count;
  return count > 2;
}

bool has_a_variable_of_the_host() {
  return std::getenv("USER") != nullptr || std::getenv("KILN_PROBE_SECRET") != nullptr;
}

bool starts_a_thread() {
  bool ran = false;
  std::thread([&] { ran = true; }).join();
  return ran;
}

std::string read_all(const char* path) {
  std::string text(100, '\0');
  const int fd = ::open(path, O_RDONLY);
  const ssize_t n = fd < 0 ? -1 : ::read(fd, text.data(), text.size());
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return text;
}

/// A folder's descriptor that was forgotten would lead out of the sandbox.
bool has_a_way_out() {
  for (int fd = 3; fd < 1024; ++fd)
    if (::faccessat(fd, "..", F_OK, 0) == 0) return true;
  return false;
}

/// What was passed is there once more, as it is on the host.
bool writes_what_was_passed() {
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat st {};
    if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) continue;
    if (opens("/proc/self/fd/" + std::to_string(fd), O_RDWR)) return true;
  }
  return false;
}

void try_to_read(const std::string& host_file) {
  tell("shadow", opens("/etc/shadow", O_RDONLY));
  tell("root-home", lists("/root"));
  tell("home", lists("/home"));
  tell("host-file", opens(host_file, O_RDONLY));
  tell("environment", has_a_variable_of_the_host());
  tell("processes", sees_others());
  tell("way-out", has_a_way_out());
}

void try_to_write(const std::string& host_file) {
  tell("write-host", opens(host_file, O_WRONLY));
  tell("write-root", opens("/mine", O_WRONLY | O_CREAT));
  tell("write-usr", opens("/usr/mine", O_WRONLY | O_CREAT));
  tell("write-dev", opens("/dev/mine", O_WRONLY | O_CREAT));
  tell("write-input", opens("/in/0", O_RDWR));
  tell("write-input-by-number", ::pwrite(3, "x", 1, 0) == 1);
  tell("write-what-was-passed", writes_what_was_passed());
  tell("write-terabyte", writes_a_terabyte("/out/0"));
  tell("write-terabyte-in-tmp", writes_a_terabyte("/tmp"));
}

void try_to_break_out(pid_t parent) {
  tell("trace-parent", ::ptrace(PTRACE_ATTACH, parent, nullptr, nullptr) == 0);
  tell("trace-init", ::ptrace(PTRACE_ATTACH, 1, nullptr, nullptr) == 0);
  tell("kill-parent", ::kill(parent, 0) == 0);
  tell("namespace", ::unshare(CLONE_NEWUSER) == 0);
  tell("mount", ::mount("none", "/tmp", "tmpfs", 0, nullptr) == 0);
  tell("bpf", ::syscall(SYS_bpf, 0, nullptr, 0) >= 0 || errno != EPERM);
}

/// What leaves no trace.
void try_the_harmless(int port) {
  tell("connect", connects(port));
  tell("netlink", ::socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
  tell("fork", forks());
  tell("execute-with-vfork", std::system("true") == 0);
  void* much = ::mmap(nullptr, std::size_t{8} << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  tell("allocate", much != MAP_FAILED);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  ::signal(SIGXFSZ, SIG_IGN);
  const bool harmless = argc > 4;
  try_to_read(argv[2]);
  try_the_harmless(std::atoi(argv[1]));
  if (harmless) return 0;
  if (!opens("/in/0", O_RDONLY) || ::getppid() != 1) return 3;  // started by mistake where it could do harm
  std::printf("input %s\n", read_all("/in/0").c_str());
  std::printf("uid %u\n", ::getuid());
  tell("write-output", opens("/out/0/made", O_WRONLY | O_CREAT));
  tell("thread", starts_a_thread());
  try_to_write(argv[2]);
  try_to_break_out(std::atoi(argv[3]));
  return 0;
}

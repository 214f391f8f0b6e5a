// The serial console of a running instance: a terminal in raw mode on one side, a unix socket on the other.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>

#include <kiln/file.h>

#include "machine/instances.h"
#include "machine/qemu.h"
#include "qmp/json_socket.h"

namespace kiln {
namespace {

constexpr char leave_key = 0x1d;  // Ctrl-]

/// Raw until it goes out of scope.
class RawTerminal {
 public:
  explicit RawTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd, &before_) != 0) throw system_error("cannot read the terminal's settings", errno);
    termios raw = before_;
    ::cfmakeraw(&raw);
    ::tcsetattr(fd, TCSADRAIN, &raw);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() { ::tcsetattr(fd_, TCSADRAIN, &before_); }

 private:
  int fd_;
  termios before_{};
};

bool write_all(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool send_all(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, bytes, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

void print_log(const std::filesystem::path& log, int out, std::uint64_t last_bytes) {
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return;
  const auto size = static_cast<std::uint64_t>(file.tellg());
  file.seekg(static_cast<std::streamoff>(size > last_bytes ? size - last_bytes : 0));
  std::array<char, 65536> bytes;
  while (file.read(bytes.data(), bytes.size()), file.gcount() > 0)
    if (!write_all(out, bytes.data(), static_cast<std::size_t>(file.gcount()))) return;
}

/// Until one side ends or Ctrl-] is typed.
void relay(int socket, int in, int out, const std::stop_token& stop) {
  std::array<char, 4096> bytes;
  while (!stop.stop_requested()) {
    std::array<pollfd, 2> fds{{{socket, POLLIN, 0}, {in, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), 100) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) {
      const ssize_t n = ::recv(socket, bytes.data(), bytes.size(), 0);
      if (n <= 0 || !write_all(out, bytes.data(), static_cast<std::size_t>(n))) return;
    }
    if (fds[1].revents != 0) {
      const ssize_t n = ::read(in, bytes.data(), bytes.size());
      if (n <= 0) return;
      const std::string_view typed(bytes.data(), static_cast<std::size_t>(n));
      const std::string_view before = typed.substr(0, typed.find(leave_key));
      if (!send_all(socket, before.data(), before.size()) || before.size() != typed.size()) return;
    }
  }
}

void console_elsewhere(Driver& driver, const Instance& instance, int in, int out, const std::stop_token& stop) {
  const bool on_terminal = ::isatty(in) == 1;
  const std::string text = driver.serial_text(instance, on_terminal ? 2048 : 256u << 20);
  if (on_terminal && instance.state != Instance::State::running)
    throw Error("\"" + instance.name + "\" is not running",
                "what it wrote so far: kiln console " + instance.name + " </dev/null");
  write_all(out, text.data(), text.size());
  if (!on_terminal) return;
  const std::unique_ptr<Driver::Console> console = driver.open_console(instance);
  {
    const RawTerminal raw(in);
    relay(console->socket(), in, out, stop);
  }
  write_all(out, "\n", 1);
}

}  // namespace

void Instances::console(const std::string& name, int in, int out, std::stop_token stop) const {
  const Instance instance = get(name);
  if (Driver* driver = driver_of(instance)) return console_elsewhere(*driver, instance, in, out, stop);
  const std::filesystem::path log = instance.folder / machine_file::serial_log;
  if (::isatty(in) != 1) return print_log(log, out, ~0ull);
  if (instance.state != Instance::State::running)
    throw Error("\"" + name + "\" is not running", "its console so far: " + log.string());
  const int socket = connect_unix(instance.folder / machine_file::console);
  print_log(log, out, 2048);
  {
    const RawTerminal raw(in);
    relay(socket, in, out, stop);
  }
  ::close(socket);
  write_all(out, "\n", 1);
}

}  // namespace kiln

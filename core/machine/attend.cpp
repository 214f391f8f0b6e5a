#include "machine/attend.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <thread>

#include <nlohmann/json.hpp>

#include "machine/ending.h"
#include "machine/instance_record.h"
#include "machine/qemu.h"
#include "machine/serial.h"
#include "qmp/json_socket.h"

namespace kiln {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

/// QEMU's events, on a monitor of our own.
class Events {
 public:
  explicit Events(int fd) : socket_(JsonSocket::adopt(fd, "qemu")) {}

  int fd() const { return socket_ ? socket_->fd() : -1; }

  /// Takes in what has arrived. Never waits.
  void hear(Ending& ending) {
    try {
      while (socket_)
        if (const auto message = socket_->receive(Clock::now()))
          take(*message, ending);
        else
          return;
    } catch (const std::exception&) {
      socket_.reset();  // QEMU has closed it, or cannot be understood: its end is seen all the same
    }
  }

 private:
  void take(const json& message, Ending& ending) {
    if (message.contains("QMP")) return socket_->send({{"execute", "qmp_capabilities"}}, Clock::now());
    const std::string event = message.value("event", "");
    if (event == "SHUTDOWN") ending.reason = message.at("data").value("reason", "");
    if (event == "GUEST_PANICKED") ending.panicked = true;
    if (event == "RESET") ending.panicked = false;
  }

  std::optional<JsonSocket> socket_;
};

void wait_for_end(pid_t qemu, Events& events, Ending& ending) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, qemu, 0));
  for (;;) {
    std::array<pollfd, 2> fds{{{pidfd, POLLIN, 0}, {events.fd(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) break;
    if (fds[1].revents != 0) events.hear(ending);
    if (fds[0].revents != 0) break;
  }
  ending.exit = reap_child(qemu);
  events.hear(ending);  // what it said last
  ::close(pidfd);
}

std::vector<std::string> read_words(int in) {
  std::string text;
  std::array<char, 65536> bytes;
  for (;;) {
    const ssize_t n = ::read(in, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(bytes.data(), static_cast<std::size_t>(n));
  }
  return json::parse(text).get<std::vector<std::string>>();
}

/// Says the pid to whoever started us, who waits for that, and holds on to nothing of theirs.
void tell(int out, pid_t qemu) {
  const std::string text = std::to_string(qemu);
  (void)!::write(out, text.data(), text.size());
  ::dup2(2, out);
}

}  // namespace

std::optional<pid_t> start_attended(const std::filesystem::path& folder, const std::string& instance,
                                    const std::vector<std::string>& qemu_arguments) {
  std::vector<std::string> words{require_program("qemu-system-x86_64").string()};
  words.insert(words.end(), qemu_arguments.begin(), qemu_arguments.end());
  const std::string heard =
      start_daemon_and_hear({require_own_program(attend_name).string(), {instance}, json(words).dump()},
                            folder / machine_file::qemu_log, folder);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(heard.data(), heard.data() + heard.size(), pid);
  if (error != std::errc{} || pid <= 0) return std::nullopt;
  return pid;
}

void remove_instance_folder(const std::filesystem::path& folder) {
  using namespace std::chrono_literals;
  // The attendant renames what it wrote, so names come and go meanwhile.
  for (const auto until = Clock::now() + 3s;; std::this_thread::sleep_for(10ms)) {
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (!error) return;
    const bool written_to = error == std::errc::directory_not_empty || error == std::errc::no_such_file_or_directory;
    if (!written_to || Clock::now() >= until) throw system_error("cannot remove " + folder.string(), error.value());
  }
}

void attend(int in, int out) {
  std::vector<std::string> words = read_words(in);
  Command qemu{words.at(0), {words.begin() + 1, words.end()}};
  qemu.args.insert(qemu.args.end(), {"-chardev", "socket,id=attend,fd=3", "-mon", "chardev=attend,mode=control"});
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw system_error("cannot make a pair of sockets", errno);
  Events events(ends[0]);
  const pid_t pid = start_surviving_child(qemu, ends[1]);
  ::close(ends[1]);
  Ending ending;
  ending.process = identify(pid).value_or(ProcessId{pid, 0});
  tell(out, pid);
  wait_for_end(pid, events, ending);
  ending.when = now_utc();
  ending.serial = last_lines(machine_file::serial_log);
  std::error_code gone;
  if (std::filesystem::exists(machine_file::qemu_log, gone)) write_ending(".", ending);
}

}  // namespace kiln

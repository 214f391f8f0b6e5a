#include "qmp/json_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// 0, or errno. The folder goes through /proc, because sun_path holds 107 bytes and a home may be deeper than that.
int try_connect(int fd, const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const int dir = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return errno;
  const std::string name = "/proc/self/fd/" + std::to_string(dir) + "/" + path.filename().string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  int result = ENAMETOOLONG;
  if (name.size() < sizeof address.sun_path) {
    std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
    result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  }
  ::close(dir);
  return result;
}

nlohmann::json parse(const std::string& line, const std::string& peer) {
  const auto shallow = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > JsonSocket::deepest) throw Error(peer + " sent JSON that is nested too deep");
    return true;
  };
  try {
    nlohmann::json value = nlohmann::json::parse(line, shallow);
    if (value.is_object()) return value;
  } catch (const nlohmann::json::exception&) {
    // told below, without the peer's bytes: they may hold anything
  }
  throw Error(peer + " sent something that is no JSON object");
}

}  // namespace

JsonSocket::JsonSocket(int fd, std::string peer, std::stop_token stop)
    : fd_(fd), peer_(std::move(peer)), stop_(std::move(stop)) {}

JsonSocket::JsonSocket(JsonSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      peer_(std::move(other.peer_)),
      stop_(std::move(other.stop_)),
      buffer_(std::move(other.buffer_)),
      searched_(other.searched_),
      longest_(other.longest_) {}

JsonSocket& JsonSocket::operator=(JsonSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(peer_, other.peer_);
  std::swap(stop_, other.stop_);
  std::swap(buffer_, other.buffer_);
  std::swap(searched_, other.searched_);
  std::swap(longest_, other.longest_);
  return *this;
}

JsonSocket::~JsonSocket() {
  if (fd_ >= 0) ::close(fd_);
}

JsonSocket JsonSocket::connect(const std::filesystem::path& path, std::string peer, Deadline deadline,
                               std::stop_token stop) {
  for (;;) {
    if (stop.stop_requested()) throw cancelled();
    JsonSocket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), peer, stop);
    if (socket.fd_ < 0) throw system_error("cannot make a socket", errno);
    const int error = try_connect(socket.fd_, path);
    if (error == 0) return socket;
    // Not made yet, nobody listens yet, its queue is full: all of them pass.
    const bool passing = error == ENOENT || error == ECONNREFUSED || error == EAGAIN;
    if (!passing || Clock::now() >= deadline) throw system_error("cannot connect to " + peer, error);
    std::this_thread::sleep_for(10ms);
  }
}

JsonSocket JsonSocket::adopt(int fd, std::string peer) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  return JsonSocket(fd, std::move(peer), {});
}

bool JsonSocket::is_open() const {
  pollfd p{fd_, POLLIN, 0};
  return ::poll(&p, 1, 0) >= 0 && (p.revents & (POLLHUP | POLLERR)) == 0;
}

bool is_listened_to(const std::filesystem::path& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  const int error = try_connect(fd, path);
  ::close(fd);
  return error != ENOENT && error != ECONNREFUSED;
}

std::string error_text(const nlohmann::json& error) {
  const auto it = error.find("desc");
  return it != error.end() && it->is_string() ? it->get<std::string>() : error.dump();
}

int connect_unix(const std::filesystem::path& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw system_error("cannot make a socket", errno);
  const int error = try_connect(fd, path);
  if (error == 0) return fd;
  ::close(fd);
  throw system_error("cannot connect to " + path.string(), error);
}

bool JsonSocket::wait_for(short events, Deadline deadline) const {
  for (;;) {
    if (stop_.stop_requested()) throw cancelled();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    // In slices, so that a stop is seen soon.
    const auto slice = std::clamp(left, std::chrono::milliseconds(0), std::chrono::milliseconds(50));
    pollfd p{fd_, events, 0};
    const int n = ::poll(&p, 1, static_cast<int>(slice.count()));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) throw system_error("cannot poll", errno);
    if (left <= 0ms) return false;
  }
}

void JsonSocket::send(const nlohmann::json& message, Deadline deadline, std::string_view before) {
  const std::string line = std::string(before) + message.dump() + "\n";
  for (std::size_t at = 0; at < line.size();) {
    if (!wait_for(POLLOUT, deadline)) throw Error(peer_ + " does not take our messages");
    const ssize_t n = ::send(fd_, line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR && errno != EAGAIN) throw Error(peer_ + " closed the connection");
    if (n > 0) at += static_cast<std::size_t>(n);
  }
}

std::optional<std::string> JsonSocket::next_line() {
  const std::size_t end = buffer_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = buffer_.size();
    if (searched_ > longest_) throw Error(peer_ + " sent a line that is too long");
    return std::nullopt;
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  searched_ = 0;
  // The agent marks the answer to guest-sync-delimited with a byte that JSON cannot hold: all before it is stale.
  if (const std::size_t mark = line.rfind('\xff'); mark != std::string::npos) line.erase(0, mark + 1);
  return line;
}

std::optional<nlohmann::json> JsonSocket::receive(Deadline deadline) {
  std::array<char, 65536> bytes;
  for (;;) {
    while (auto line = next_line())
      if (line->find_first_not_of(" \t\r") != std::string::npos) return parse(*line, peer_);
    if (!wait_for(POLLIN, deadline)) return std::nullopt;
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (n > 0) buffer_.append(bytes.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) throw Error(peer_ + " closed the connection");
  }
}

}  // namespace kiln

#include "origin/nbd_source.h"

#include <fcntl.h>
#include <libnbd.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include <kiln/finding.h>
#include <kiln/text.h>
#include <kiln/value.h>

#include "origin/url.h"

namespace kiln::import {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t window = 1u << 30;           // of the map; an NBD request has 32 bits for a length
constexpr std::uint64_t largest_disk = 64ull << 40;  // as of all of kiln's disks
constexpr std::size_t piece = 1u << 20;              // of a read, so that several are under way
constexpr std::size_t most_connections = 4;
constexpr Duration sibling_patience{1000};
constexpr nbd_completion_callback unwatched{.callback = nullptr, .user_data = nullptr, .free = nullptr};

Error broken(const std::string& what) {
  const char* words = nbd_get_error();
  return Error("cannot read the disk from the NBD server: " + what, "does it still run?",
               words != nullptr ? std::vector<std::string>{printable(words, 200)} : std::vector<std::string>{});
}

/// A descriptor of ours until somebody takes it.
struct Socket {
  int fd = -1;
  Socket() = default;
  explicit Socket(int given) : fd(given) {}
  Socket(Socket&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
};

/// Where it is, and how long one waits.
struct Server {
  Url url;
  std::string export_name;
  std::vector<Resolved> addresses;  ///< checked; connected to as they are
  Duration patience;
  std::stop_token stop;
};

bool connects(int fd, const Resolved& to, const Server& server) {
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to.address), to.length) == 0) return true;
  if (errno != EINPROGRESS) return false;
  const auto until = Clock::now() + server.patience;
  while (Clock::now() < until) {
    if (server.stop.stop_requested()) throw cancelled();
    pollfd wait{fd, POLLOUT, 0};
    if (::poll(&wait, 1, 100) <= 0) continue;
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    errno = error;
    return error == 0;
  }
  errno = ETIMEDOUT;
  return false;
}

Socket connect(const Server& server) {
  int error = 0;
  for (const Resolved& to : server.addresses) {
    Socket made(::socket(to.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (made.fd >= 0 && connects(made.fd, to, server)) return made;
    error = errno;
  }
  throw system_error("cannot connect to " + printable(server.url.shown(), 200), error, "does the server run?");
}

/// The parameter socket of "nbd+unix:///export?socket=PATH".
Resolved unix_address(const Url& url) {
  const std::size_t at = ("&" + url.query).find("&socket=");
  const std::string path = at == std::string::npos ? "" : url.query.substr(at + 7, url.query.find('&', at) - at - 7);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof to.sun_path)
    throw invalid("the URL does not say which socket", "write nbd+unix:///export?socket=/path/of/the.sock")
        .as(code::invalid_url);
  std::memcpy(to.sun_path, path.c_str(), path.size());
  Resolved address{{}, sizeof to};
  std::memcpy(&address.address, &to, sizeof to);
  return address;
}

Server find(const std::string& text, const AddressRule& rule, Duration patience, std::stop_token stop) {
  Server server{.url = parse_url(text), .export_name = {}, .addresses = {}, .patience = patience, .stop = stop};
  server.export_name = server.url.path.substr(server.url.path.starts_with('/') ? 1 : 0);
  if (server.url.scheme == "nbd+unix") {
    server.addresses.push_back(unix_address(server.url));
    return server;
  }
  server.addresses = resolve(server.url.host, server.url.port);
  for (const Resolved& one : server.addresses)
    if (const auto address = address_of(reinterpret_cast<const sockaddr&>(one.address)))
      rule.require(*address, server.url.host);
  return server;
}

/// One connection. For one thread at a time.
class Connection {
 public:
  Connection(const Server& server, Duration handshake) : server_(server), handle_(nbd_create()) {
    if (!handle_) throw broken("no memory");
    if (nbd_set_export_name(handle_.get(), server.export_name.c_str()) < 0) throw broken("the export has no such name");
    nbd_add_meta_context(handle_.get(), LIBNBD_CONTEXT_BASE_ALLOCATION);
    Socket socket = connect(server);
    if (nbd_aio_connect_socket(handle_.get(), socket.fd) < 0) throw broken("it does not answer");
    socket.fd = -1;  // libnbd's now
    wait(handshake, [&] { return nbd_aio_is_ready(handle_.get()) > 0; });
  }

  std::uint64_t size() const {
    const std::int64_t size = nbd_get_size(handle_.get());
    if (size <= 0 || static_cast<std::uint64_t>(size) > largest_disk)
      throw broken("its size is impossible: " + std::to_string(size));
    return static_cast<std::uint64_t>(size);
  }
  bool has_map() const { return nbd_can_meta_context(handle_.get(), LIBNBD_CONTEXT_BASE_ALLOCATION) == 1; }
  bool may_have_siblings() const { return nbd_can_multi_conn(handle_.get()) == 1; }

  void read(std::uint64_t offset, std::span<std::byte> into) {
    std::vector<std::int64_t> cookies;
    for (std::size_t at = 0; at < into.size(); at += piece) {
      const auto part = into.subspan(at, std::min(piece, into.size() - at));
      const std::int64_t cookie = nbd_aio_pread(handle_.get(), part.data(), part.size(), offset + at, unwatched, 0);
      if (cookie < 0) throw broken("a read was refused");
      cookies.push_back(cookie);
    }
    for (const std::int64_t cookie : cookies) finish(cookie);
  }

  /// What [offset, offset + length) begins with. Never empty, never longer.
  std::vector<Extent> map(std::uint64_t offset, std::uint64_t length) {
    Told told{offset, offset + length, {}};
    const nbd_extent_callback callback{.callback = &Connection::extents, .user_data = &told, .free = nullptr};
    const std::int64_t cookie = nbd_aio_block_status(handle_.get(), length, offset, callback, unwatched, 0);
    if (cookie < 0) throw broken("its map was refused");
    finish(cookie);
    if (told.runs.empty()) throw broken("its map is empty");
    return std::move(told.runs);
  }

 private:
  struct Told {
    std::uint64_t at, end;
    std::vector<Extent> runs;
  };
  struct Close {
    void operator()(nbd_handle* h) const { nbd_close(h); }
  };

  /// [libnbd] Pairs of length and flags.
  static int extents(void* user, const char*, std::uint64_t, std::uint32_t* entries, std::size_t count, int*) {
    Told& told = *static_cast<Told*>(user);
    for (std::size_t i = 0; i + 1 < count && told.at < told.end; i += 2) {
      const std::uint64_t length = std::min<std::uint64_t>(entries[i], told.end - told.at);
      const bool data = (entries[i + 1] & LIBNBD_STATE_ZERO) == 0;
      if (length == 0) continue;
      if (!told.runs.empty() && told.runs.back().data == data)
        told.runs.back().length += length;
      else
        told.runs.push_back({told.at, length, data});
      told.at += length;
    }
    return 0;
  }

  void finish(std::int64_t cookie) {
    wait(server_.patience, [&] {
      const int done = nbd_aio_command_completed(handle_.get(), static_cast<std::uint64_t>(cookie));
      if (done < 0) throw broken("a request failed");
      return done > 0;
    });
  }

  template <class Done>
  void wait(Duration patience, const Done& done) {
    const auto until = Clock::now() + patience;
    while (!done()) {
      if (server_.stop.stop_requested()) throw cancelled();
      if (Clock::now() > until) throw broken("it was silent for " + format_duration(patience));
      if (nbd_aio_is_dead(handle_.get()) > 0 || nbd_aio_is_closed(handle_.get()) > 0)
        throw broken("it closed the connection");
      if (nbd_poll(handle_.get(), 100) < 0) throw broken("the connection broke");
    }
  }

  const Server& server_;
  std::unique_ptr<nbd_handle, Close> handle_;
};

class NbdDisk final : public BlockReader {
 public:
  explicit NbdDisk(Server server) : server_(std::move(server)) {
    auto first = std::make_unique<Connection>(server_, server_.patience);
    size_ = first->size();
    has_map_ = first->has_map();
    const bool several = first->may_have_siblings();
    idle_.push_back(std::move(first));
    if (several) add_siblings();
  }

  std::uint64_t size() const override { return size_; }

  Extent extent_at(std::uint64_t offset) const override {
    if (!has_map_) return {offset, size_ - offset, true};
    const std::lock_guard lock(map_mutex_);
    auto in = [&](const Extent& e) { return offset >= e.offset && offset - e.offset < e.length; };
    auto found = std::find_if(map_.begin(), map_.end(), in);
    if (found == map_.end()) {
      with_connection([&](Connection& c) { map_ = c.map(offset, std::min(window, size_ - offset)); });
      found = map_.begin();
    }
    return {offset, found->offset + found->length - offset, found->data};
  }

  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    with_connection([&](Connection& c) { c.read(offset, into); });
  }

 private:
  /// A server does not say how many it serves at once, and lets the others wait.
  void add_siblings() {
    while (idle_.size() < most_connections) try {
        auto more = std::make_unique<Connection>(server_, std::min(server_.patience, sibling_patience));
        if (more->size() != size_) throw broken("it has another size now");
        idle_.push_back(std::move(more));
      } catch (const Error& error) {
        if (is_cancelled(error)) throw;
        break;
      }
    alive_ = idle_.size();
  }

  /// Waits for one that nobody uses. One that failed is not used again.
  std::unique_ptr<Connection> take() const {
    std::unique_lock lock(mutex_);
    given_back_.wait(lock, [&] { return !idle_.empty() || alive_ == 0; });
    if (idle_.empty()) throw Error("cannot read the disk from the NBD server: its connections broke", "run again");
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }

  template <class F>
  void with_connection(F&& use) const {
    std::unique_ptr<Connection> connection = take();
    try {
      use(*connection);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      --alive_;
      given_back_.notify_all();
      throw;
    }
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
    given_back_.notify_one();
  }

  const Server server_;
  std::uint64_t size_ = 0;
  bool has_map_ = false;
  mutable std::mutex mutex_, map_mutex_;
  mutable std::condition_variable given_back_;
  mutable std::size_t alive_ = 1;    // connections that have not failed
  mutable std::vector<Extent> map_;  // of the window that was asked for last
  mutable std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace

std::shared_ptr<const BlockReader> open_nbd(const std::string& url, const AddressRule& rule, Duration patience,
                                            std::stop_token stop) {
  return std::make_shared<NbdDisk>(find(url, rule, patience, std::move(stop)));
}

}  // namespace kiln::import

#include "libvirt/console.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

namespace kiln {
namespace {

/// The stream's bytes come and go on a thread of its own. libvirt's event loop only wakes it.
class DomainConsole final : public Driver::Console {
 public:
  DomainConsole(std::shared_ptr<Connection> connection, DomainHandle domain)
      : connection_(std::move(connection)), domain_(std::move(domain)) {
    stream_.reset(virStreamNew(connection_->get(), VIR_STREAM_NONBLOCK));
    if (!stream_ || virDomainOpenConsole(domain_.get(), nullptr, stream_.get(), 0) != 0)
      throw libvirt_error("cannot open the console", "has somebody else opened it? One at a time can");
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()) != 0)
      throw system_error("cannot make a socket", errno);
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    virStreamEventAddCallback(stream_.get(),
                              VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP, on_event,
                              this, nullptr);
    relay_ = std::jthread([this](const std::stop_token& stop) { relay(stop); });
  }
  ~DomainConsole() override {
    relay_.request_stop();
    wake();
    relay_.join();
    virStreamEventRemoveCallback(stream_.get());
    virStreamAbort(stream_.get());
    for (const int fd : {ends_[0], ends_[1], wake_}) ::close(fd);
  }
  int socket() const override { return ends_[0]; }

 private:
  static void on_event(virStreamPtr, int, void* self) { static_cast<DomainConsole*>(self)->wake(); }
  void wake() const { ::eventfd_write(wake_, 1); }

  /// Everything that has arrived. False at the stream's end.
  bool to_socket() {
    std::array<char, 4096> bytes;
    for (;;) {
      const int n = virStreamRecv(stream_.get(), bytes.data(), bytes.size());
      if (n == -2) return true;
      if (n <= 0) return false;
      for (int sent = 0; sent < n;) {
        const ssize_t one = ::send(ends_[1], bytes.data() + sent, static_cast<std::size_t>(n - sent), MSG_NOSIGNAL);
        if (one <= 0) return false;
        sent += static_cast<int>(one);
      }
    }
  }
  bool to_stream() {
    std::array<char, 4096> bytes;
    const ssize_t n = ::recv(ends_[1], bytes.data(), bytes.size(), 0);
    if (n <= 0) return false;
    for (ssize_t sent = 0; sent < n;) {
      const int one = virStreamSend(stream_.get(), bytes.data() + sent, static_cast<std::size_t>(n - sent));
      if (one == -1) return false;
      if (one == -2)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      else
        sent += one;
    }
    return true;
  }
  void relay(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::array<pollfd, 2> fds{{{wake_, POLLIN, 0}, {ends_[1], POLLIN, 0}}};
      if (::poll(fds.data(), fds.size(), 200) < 0 && errno != EINTR) break;
      eventfd_t ignored = 0;
      ::eventfd_read(wake_, &ignored);
      if (!to_socket()) break;
      if ((fds[1].revents & (POLLIN | POLLHUP)) != 0 && !to_stream()) break;
    }
    ::shutdown(ends_[1], SHUT_RDWR);
  }

  std::shared_ptr<Connection> connection_;
  DomainHandle domain_;
  StreamHandle stream_;
  std::array<int, 2> ends_{-1, -1};
  int wake_ = -1;
  std::jthread relay_;
};

}  // namespace

std::unique_ptr<Driver::Console> open_domain_console(std::shared_ptr<Connection> connection, DomainHandle domain) {
  return std::make_unique<DomainConsole>(std::move(connection), std::move(domain));
}

}  // namespace kiln

#pragma once
// A server on loopback that gives its answers one after the other, whatever it is asked, each on a connection of its
// own.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace kiln::test {

class MoodyServer {
 public:
  /// Each answer as it is sent, headers included. An empty one: the connection is closed without a word.
  explicit MoodyServer(std::vector<std::string> answers)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), answers_(std::move(answers)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 8) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("cannot listen");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  MoodyServer(const MoodyServer&) = delete;
  MoodyServer& operator=(const MoodyServer&) = delete;
  ~MoodyServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  std::string bucket() const { return "http://127.0.0.1:" + std::to_string(port_) + "/b"; }
  /// After the last answer was received.
  std::size_t asked() const { return asked_; }

  static std::string answer(const std::string& status, const std::string& body = {}, const std::string& headers = {}) {
    return "HTTP/1.1 " + status + "\r\nConnection: close\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

 private:
  void serve() {
    for (const std::string& answer : answers_) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      ++asked_;
      std::string heard;
      char c = 0;
      while (!heard.ends_with("\r\n\r\n") && ::read(fd, &c, 1) == 1) heard.push_back(c);
      (void)::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::close(fd);
    }
  }

  int listener_;
  int port_ = 0;
  std::vector<std::string> answers_;
  std::atomic<std::size_t> asked_ = 0;
  std::thread thread_;
};

}  // namespace kiln::test

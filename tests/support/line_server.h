#pragma once
// A unix socket that answers each line by a function: a QEMU or an agent as a test wants it.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

namespace kiln::test {

class LineServer {
 public:
  /// `greeting` is sent as it is; `answer` gets each line and returns bytes to send. Serves one connection.
  LineServer(const std::filesystem::path& path, std::string greeting, std::function<std::string(std::string)> answer)
      : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 1) != 0)
      throw std::runtime_error("cannot listen");
    thread_ =
        std::thread([this, greeting = std::move(greeting), answer = std::move(answer)] { serve(greeting, answer); });
  }
  LineServer(const LineServer&) = delete;
  LineServer& operator=(const LineServer&) = delete;
  ~LineServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

 private:
  void serve(const std::string& greeting, const std::function<std::string(std::string)>& answer) const {
    const int fd = ::accept(listener_, nullptr, nullptr);
    if (fd < 0) return;
    send_all(fd, greeting);
    std::string line;
    char c = 0;
    while (::read(fd, &c, 1) == 1) {
      if (c != '\n') {
        line.push_back(c);
        continue;
      }
      const std::string reply = answer(line);
      line.clear();
      if (reply == "close") break;
      send_all(fd, reply);
    }
    ::close(fd);
  }

  static void send_all(int fd, const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n = ::send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<std::size_t>(n);
    }
  }

  int listener_;
  std::thread thread_;
};

}  // namespace kiln::test

#pragma once
// Lines of JSON over a unix socket: what QMP and the guest agent have in common.

#include <chrono>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <kiln/error.h>
#include <kiln/value.h>

#include <nlohmann/json_fwd.hpp>

namespace kiln {

/// One connection. One thread at a time may use it. The other side may be in a guest's hands, so a line is at most
/// `longest_line` bytes, unless more were allowed, and its JSON at most `deepest` levels; anything more, or anything
/// else, is an Error.
class JsonSocket {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  static constexpr std::size_t longest_line = 4u << 20;
  static constexpr int deepest = 64;

  /// Connects, waiting until `deadline` for somebody to listen. A path of any length will do. `peer` names the other
  /// side in messages: "qemu", "the guest agent".
  static JsonSocket connect(const std::filesystem::path&, std::string peer, Deadline deadline,
                            std::stop_token stop = {});
  /// Takes over a connected stream socket.
  static JsonSocket adopt(int fd, std::string peer);
  JsonSocket(JsonSocket&&) noexcept;
  JsonSocket& operator=(JsonSocket&&) noexcept;
  ~JsonSocket();

  void send(const nlohmann::json&, Deadline deadline, std::string_view before = {});
  /// The next object; nothing when none came in time. Throws when the other side is gone, and cancelled() on stop.
  std::optional<nlohmann::json> receive(Deadline deadline);
  const std::string& peer() const noexcept { return peer_; }
  /// Whether the other side has it open still.
  bool is_open() const;
  /// To wait for more with others; ours.
  int fd() const noexcept { return fd_; }
  /// For answers that are known to be longer than most.
  void allow_lines_of(std::size_t bytes) noexcept { longest_ = bytes; }

 private:
  JsonSocket(int fd, std::string peer, std::stop_token stop);
  bool wait_for(short events, Deadline deadline) const;
  std::optional<std::string> next_line();
  int fd_ = -1;
  std::string peer_;
  std::stop_token stop_;
  std::string buffer_;
  std::size_t searched_ = 0;  // no line end before it
  std::size_t longest_ = longest_line;
};

/// Whether a process listens there, be it busy or not.
bool is_listened_to(const std::filesystem::path&);

/// What an answer's "error" says: its description when it has one.
std::string error_text(const nlohmann::json& error);

/// A connected stream socket, which the caller closes. A path of any length will do.
int connect_unix(const std::filesystem::path&);

}  // namespace kiln

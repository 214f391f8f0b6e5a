#pragma once
// The control connection of QEMU and of qemu-storage-daemon (docs/interop/qmp-spec of QEMU 7.2).

#include <deque>
#include <string>

#include "qmp/json_socket.h"

namespace kiln {

/// One QMP session. One thread at a time may use it.
class Qmp {
 public:
  /// Connects and leaves the capabilities mode. Throws when that is not done within `limit`.
  static Qmp connect(const std::filesystem::path& socket, Duration limit, std::stop_token stop = {},
                     std::string peer = "qemu");

  /// Sends a command and waits for its answer; events on the way are kept. Returns what stands under "return".
  /// Error: `qemu refused "blockdev-add": <its words>`.
  nlohmann::json execute(std::string_view command, Duration limit = std::chrono::seconds(10));
  nlohmann::json execute(std::string_view command, const nlohmann::json& arguments,
                         Duration limit = std::chrono::seconds(10));

  /// The oldest kept event of that name, waiting for it when there is none yet. The whole message, with "data".
  std::optional<nlohmann::json> wait_event(std::string_view name, Duration limit);

 private:
  explicit Qmp(JsonSocket socket) : socket_(std::move(socket)) {}
  JsonSocket socket_;
  std::deque<nlohmann::json> events_;
  std::uint64_t last_id_ = 0;
};

}  // namespace kiln

#pragma once
// qemu-guest-agent, over the host's end of its virtio-serial channel (docs/interop/qemu-ga-ref of QEMU 7.2).
//
// The channel belongs to the machine, not to the agent: writing works before the agent runs, and answers to questions
// of an earlier caller may still be on their way. So every talk begins with guest-sync-delimited, and so does whatever
// follows a question that was not answered.

#include <string>

#include "qmp/json_socket.h"

namespace kiln {

/// One talk with the agent. One thread at a time may use it. What it answers is the guest's word, no more.
class GuestAgent {
 public:
  /// Connects to the socket, which QEMU serves from its start. Whether an agent is there, ping() tells.
  static GuestAgent connect(const std::filesystem::path& socket, Duration limit, std::stop_token stop = {});

  /// Whether its channel is there still; questions that nobody has read wait in it.
  bool is_connected() const { return socket_.is_open(); }
  /// True when an agent answered within `limit`.
  bool ping(Duration limit);
  /// Returns what stands under "return". Error: `the guest agent refused "guest-exec": <its words>`.
  nlohmann::json execute(std::string_view command, Duration limit = std::chrono::seconds(10));
  nlohmann::json execute(std::string_view command, const nlohmann::json& arguments,
                         Duration limit = std::chrono::seconds(10));

 private:
  explicit GuestAgent(JsonSocket socket);
  /// For answers that hold what a program wrote: 16 MiB in base64, twice (guest-exec-status).
  static constexpr std::size_t longest_answer = 48u << 20;
  bool synchronise(JsonSocket::Deadline deadline);
  JsonSocket socket_;
  std::uint64_t last_sync_;
  bool in_step_ = false;  // every question so far was answered
};

}  // namespace kiln

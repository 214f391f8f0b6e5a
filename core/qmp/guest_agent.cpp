#include "qmp/guest_agent.h"

#include <random>
#include <utility>

#include <nlohmann/json.hpp>

namespace kiln {
namespace {
using Clock = std::chrono::steady_clock;
}

GuestAgent::GuestAgent(JsonSocket socket) : socket_(std::move(socket)), last_sync_(std::random_device{}()) {
  socket_.allow_lines_of(longest_answer);
}

GuestAgent GuestAgent::connect(const std::filesystem::path& path, Duration limit, std::stop_token stop) {
  return GuestAgent(JsonSocket::connect(path, "the guest agent", Clock::now() + limit, std::move(stop)));
}

bool GuestAgent::synchronise(JsonSocket::Deadline deadline) {
  const nlohmann::json ask{{"execute", "guest-sync-delimited"}, {"arguments", {{"id", ++last_sync_}}}};
  socket_.send(ask, deadline, "\xff");  // the byte makes the agent forget half a message of an earlier caller
  while (const auto answer = socket_.receive(deadline))
    if (answer->value("return", nlohmann::json()) == last_sync_) return true;
  return false;
}

bool GuestAgent::ping(Duration limit) {
  const auto deadline = Clock::now() + limit;
  in_step_ = false;
  if (!synchronise(deadline)) return false;
  socket_.send({{"execute", "guest-ping"}}, deadline);
  const auto answer = socket_.receive(deadline);
  in_step_ = answer.has_value();
  return answer && answer->contains("return");
}

nlohmann::json GuestAgent::execute(std::string_view command, Duration limit) {
  return execute(command, nlohmann::json(), limit);
}

nlohmann::json GuestAgent::execute(std::string_view command, const nlohmann::json& arguments, Duration limit) {
  const auto deadline = Clock::now() + limit;
  const auto late = [&] {
    return Error("the guest agent did not answer \"" + std::string(command) + "\" within " + format_duration(limit),
                 "is qemu-guest-agent installed and running in the guest?");
  };
  if (!std::exchange(in_step_, false) && !synchronise(deadline)) throw late();
  nlohmann::json message{{"execute", command}};
  if (!arguments.is_null()) message["arguments"] = arguments;
  socket_.send(message, deadline);
  const auto answer = socket_.receive(deadline);
  if (!answer) throw late();
  in_step_ = true;
  if (const auto error = answer->find("error"); error != answer->end())
    throw Error("the guest agent refused \"" + std::string(command) + "\": " + error_text(*error));
  return answer->value("return", nlohmann::json::object());
}

}  // namespace kiln

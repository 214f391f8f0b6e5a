#include "qmp/qmp.h"

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kept_events = 1024;
}  // namespace

Qmp Qmp::connect(const std::filesystem::path& path, Duration limit, std::stop_token stop, std::string peer) {
  const auto deadline = Clock::now() + limit;
  Qmp qmp(JsonSocket::connect(path, std::move(peer), deadline, std::move(stop)));
  const auto greeting = qmp.socket_.receive(deadline);
  if (!greeting) throw Error(qmp.socket_.peer() + " did not greet within " + format_duration(limit));
  if (!greeting->contains("QMP")) throw Error(qmp.socket_.peer() + " does not speak QMP");
  qmp.execute("qmp_capabilities", std::chrono::ceil<Duration>(deadline - Clock::now()));
  return qmp;
}

nlohmann::json Qmp::execute(std::string_view command, Duration limit) {
  return execute(command, nlohmann::json(), limit);
}

nlohmann::json Qmp::execute(std::string_view command, const nlohmann::json& arguments, Duration limit) {
  const auto deadline = Clock::now() + limit;
  nlohmann::json message{{"execute", command}, {"id", ++last_id_}};
  if (!arguments.is_null()) message["arguments"] = arguments;
  socket_.send(message, deadline);
  while (auto answer = socket_.receive(deadline)) {
    if (answer->contains("event")) {
      events_.push_back(std::move(*answer));
      if (events_.size() > kept_events) events_.pop_front();
      continue;
    }
    // An answer to a command that timed out earlier may still come; it has another id.
    if (answer->value("id", nlohmann::json()) != last_id_) continue;
    if (const auto error = answer->find("error"); error != answer->end())
      throw Error(socket_.peer() + " refused \"" + std::string(command) + "\": " + error_text(*error));
    return answer->value("return", nlohmann::json::object());
  }
  throw Error(socket_.peer() + " did not answer \"" + std::string(command) + "\" within " + format_duration(limit));
}

std::optional<nlohmann::json> Qmp::wait_event(std::string_view name, Duration limit) {
  const auto deadline = Clock::now() + limit;
  const auto is_it = [&](const nlohmann::json& event) { return event.value("event", nlohmann::json()) == name; };
  for (std::size_t at = 0;; ++at) {
    if (at == events_.size()) {
      auto message = socket_.receive(deadline);
      if (!message) return std::nullopt;
      events_.push_back(std::move(*message));
    }
    if (!is_it(events_[at])) continue;
    nlohmann::json found = std::move(events_[at]);
    events_.erase(events_.begin() + static_cast<std::ptrdiff_t>(at));
    return found;
  }
}

}  // namespace kiln

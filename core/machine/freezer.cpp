#include "machine/freezer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "machine/keeper.h"
#include "qmp/guest_agent.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

class AgentGuest final : public FreezableGuest {
 public:
  AgentGuest(std::filesystem::path socket, Duration patience) : socket_(std::move(socket)), patience_(patience) {}

  bool answers() override {
    try {
      agent_.emplace(GuestAgent::connect(socket_, patience_));
      return agent_->ping(patience_);
    } catch (const std::exception&) {
      return false;
    }
  }
  bool is_frozen() override {
    try {
      return agent_->execute("guest-fsfreeze-status", patience_) == "frozen";
    } catch (const std::exception&) {
      return false;  // what freeze() hears tells
    }
  }
  std::uint64_t freeze(Duration limit) override {
    const json answer = agent_->execute("guest-fsfreeze-freeze", limit);
    return answer.is_number_unsigned() ? answer.get<std::uint64_t>() : 0;
  }
  Thawed thaw() override {
    if (!agent_) return {};
    try {
      const json answer = agent_->execute("guest-fsfreeze-thaw", 5s);
      return {.file_systems = answer.is_number_unsigned() ? std::optional(answer.get<std::uint64_t>()) : std::nullopt};
    } catch (const std::exception& error) {
      return {.words = error.what()};
    }
  }
  bool is_thawed() override { return agent_ && agent_->execute("guest-fsfreeze-status", 5s) == "thawed"; }
  /// False: nobody serves the socket any longer. A QEMU that hangs takes nobody in. What it has not read by then waits
  /// in the channel, behind a freeze that may wait there too, so the channel is kept as long as it is open.
  bool reach_again() override {
    if (agent_ && agent_->is_connected()) return true;
    agent_.reset();
    try {
      agent_.emplace(GuestAgent::connect(socket_, 5s));
      return true;
    } catch (const std::exception&) {
      return is_listened_to(socket_);
    }
  }

 private:
  const std::filesystem::path socket_;
  const Duration patience_;
  std::optional<GuestAgent> agent_;
};

class Freezer {
 public:
  Freezer(FreezableGuest& guest, const FreezerTask& task) : guest_(guest), task_(task) {}

  int run() {
    if (!guest_.answers()) {
      tell({{"agent", false}});
      return 0;
    }
    if (guest_.is_frozen()) {
      tell({{"refused", "the guest's file systems are frozen already, by somebody else"}});
      tell({{"thawed", true}, {"ms", 0}, {"by", "limit"}, {"words", ""}});
      return 0;
    }
    asked_ = Clock::now();
    if (freeze()) by_word_ = told_to_thaw_by(asked_ + task_.limit);
    const bool thawed = thaw();
    tell({{"thawed", thawed}, {"ms", frozen_.count()}, {"by", by_word_ ? "word" : "limit"}, {"words", words_}});
    return thawed ? 0 : 1;
  }

 private:
  /// Nobody may read any longer: then nobody needs it.
  void tell(const json& message) const {
    const std::string line = message.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
    (void)!::write(task_.out, line.data(), line.size());
  }

  bool told_to_thaw_by(Clock::time_point until) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
      pollfd word{task_.in, POLLIN, 0};
      const int n = ::poll(&word, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (n > 0) return true;  // the end: nobody ever writes
      if (n == 0) return false;
    }
  }

  Duration since_asked() const { return std::chrono::duration_cast<Duration>(Clock::now() - asked_); }

  bool freeze() {
    try {
      file_systems_ = guest_.freeze(task_.limit);
      tell({{"frozen", file_systems_}, {"ms", since_asked().count()}});
      return true;
    } catch (const std::exception& error) {
      tell({{"refused", error.what()}});
      return false;
    }
  }

  /// Until the agent says that nothing is frozen. One that hangs, or stands still with its machine, is asked again and
  /// again.
  bool thaw() {
    bool lost = false;
    for (const auto until = Clock::now() + task_.thaw_for; Clock::now() < until; std::this_thread::sleep_for(100ms)) {
      if (lost && !guest_.reach_again()) return false;
      lost = false;
      try {
        const FreezableGuest::Thawed thawed = guest_.thaw();
        if (!thawed.words.empty()) words_ = thawed.words;
        // The first answer counts. Fewer than were frozen: somebody in the guest has thawed them before us.
        if (thawed.file_systems && !std::exchange(counted_, true) && *thawed.file_systems < file_systems_)
          by_word_ = false;
        frozen_ = since_asked();
        if (guest_.is_thawed()) return true;
      } catch (const std::exception&) {
        lost = true;
      }
    }
    return false;
  }

  FreezableGuest& guest_;
  const FreezerTask task_;
  Clock::time_point asked_{};
  Duration frozen_{};
  bool by_word_ = false, counted_ = false;
  std::uint64_t file_systems_ = 0;
  std::string words_;
};

}  // namespace

int run_freezer(FreezableGuest& guest, const FreezerTask& task) {
  ignore_ends_of_sessions();
  return Freezer(guest, task).run();
}

int run_freezer(const std::filesystem::path& agent, Duration patience, const FreezerTask& task) {
  AgentGuest guest(agent, patience);
  return run_freezer(guest, task);
}

}  // namespace kiln

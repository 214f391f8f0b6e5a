#include "machine/freezer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "machine/keeper.h"
#include "qmp/guest_agent.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

class Freezer {
 public:
  explicit Freezer(const FreezerTask& task) : task_(task) {}

  int run() {
    if (!find_agent()) {
      tell({{"agent", false}});
      return 0;
    }
    if (is_frozen()) {
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

  bool find_agent() {
    try {
      agent_.emplace(GuestAgent::connect(task_.agent, task_.patience));
      return agent_->ping(task_.patience);
    } catch (const std::exception&) {
      return false;
    }
  }

  /// Whoever did that needs it.
  bool is_frozen() {
    try {
      return agent_->execute("guest-fsfreeze-status", task_.patience) == "frozen";
    } catch (const std::exception&) {
      return false;  // what freeze() hears tells
    }
  }

  /// False: refused, or no answer. Then it may be frozen all the same, wholly or partly, or become so later.
  bool freeze() {
    try {
      const json answer = agent_->execute("guest-fsfreeze-freeze", task_.limit);
      tell({{"frozen", answer.is_number_unsigned() ? answer.get<std::uint64_t>() : 0}, {"ms", since_asked().count()}});
      return true;
    } catch (const std::exception& error) {
      tell({{"refused", error.what()}});
      return false;
    }
  }

  /// Until the agent says that nothing is frozen. One that hangs, or stands still with its machine, is asked again
  /// and again over the same channel: what it has not read by then waits there, behind a freeze that may be there too.
  bool thaw() {
    for (const auto until = Clock::now() + task_.thaw_for; Clock::now() < until; std::this_thread::sleep_for(100ms)) {
      if (!agent_ && !connect_again()) return false;
      try {
        ask_to_thaw();
        frozen_ = since_asked();
        if (agent_->execute("guest-fsfreeze-status", 5s) == "thawed") return true;
      } catch (const std::exception&) {
        if (!agent_->is_connected()) agent_.reset();
      }
    }
    return false;
  }

  /// The agent fails here when a hook does, although the file systems are thawed: the status decides.
  void ask_to_thaw() {
    try {
      agent_->execute("guest-fsfreeze-thaw", 5s);
    } catch (const std::exception& error) {
      words_ = error.what();
    }
  }

  /// False: nobody serves the socket any longer, the machine is gone. A QEMU that hangs does not take anybody in.
  bool connect_again() {
    for (const auto until = Clock::now() + task_.thaw_for; Clock::now() < until;) try {
        agent_.emplace(GuestAgent::connect(task_.agent, 5s));
        return true;
      } catch (const std::exception&) {
        if (!is_listened_to(task_.agent)) return false;
      }
    return false;
  }

  const FreezerTask task_;
  std::optional<GuestAgent> agent_;
  Clock::time_point asked_{};
  Duration frozen_{};
  bool by_word_ = false;
  std::string words_;
};

}  // namespace

int run_freezer(const FreezerTask& task) {
  ignore_ends_of_sessions();
  return Freezer(task).run();
}

}  // namespace kiln

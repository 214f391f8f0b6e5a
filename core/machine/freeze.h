#pragma once
// File systems of a guest at rest while one point in time is taken.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include <kiln/value.h>

#include "machine/keeper.h"
#include "process/spawn.h"

namespace kiln {

/// A guest that is frozen, or was to be. Whatever becomes of this process, the guest is thawed: by another one, which
/// freezer.h describes. One thread.
class Freeze {
 public:
  enum class Answer {
    frozen,
    no_agent,  ///< nobody answered within the patience
    refused,   ///< the agent, or one of its hooks: words()
  };
  /// What became of it.
  struct Report {
    bool held = false;    ///< frozen all the time from begin() to thaw()
    bool thawed = false;  ///< the agent says so; else it is asked on, by the other process
    Duration frozen{};    ///< from before the freeze until after the thaw: no longer than that
    std::string words;    ///< of the agent, when it thawed with a complaint (a hook failed); may be empty
  };

  /// Asks the agent behind `socket`. `limit`: after that time the guest is thawed, asked or not.
  static Freeze begin(const std::filesystem::path& socket, Duration patience, Duration limit,
                      std::stop_token stop = {});
  /// The same, of a keeper that has been told already and says within `longest` what came of it.
  static Freeze begin(Keeper, Duration longest, const std::stop_token& stop = {});
  Freeze(Freeze&&) = default;
  Freeze& operator=(Freeze&&) = default;

  Answer answer() const noexcept { return answer_; }
  std::uint64_t file_systems() const noexcept { return file_systems_; }
  /// The agent's, printable().
  const std::string& words() const noexcept { return words_; }
  /// Once, after begin() said `frozen`. Waits until it is done, 15 s at most.
  Report thaw();

 private:
  Freeze() = default;
  std::optional<std::string> next_line(Duration limit, const std::stop_token&);

  Fd to_, from_;  // `to_` closed: "thaw"
  std::string read_;
  Answer answer_ = Answer::no_agent;
  std::uint64_t file_systems_ = 0;
  std::string words_;
};

}  // namespace kiln

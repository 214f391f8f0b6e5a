#pragma once
// The process that keeps a guest frozen: it alone holds the talk with the guest agent, and thaws whatever becomes of
// the kiln that started it.
//
// It is a program of its own, see keeper.h. Commands and answers: "Guest Agent Protocol Reference" of QEMU 7.2.
//
// The end of its standard input means "thaw". On its standard output it writes a line of JSON when the freeze has come
// about or has not, and one when the guest is thawed for sure:
//
//     {"frozen": 3, "ms": 12}     file systems, and how long it took
//     {"agent": false}            no agent answered: nothing was frozen, nothing follows
//     {"refused": "…"}            the agent's words, or that it did not answer, or that the guest is frozen already
//     {"thawed": true, "ms": 31, "by": "word", "words": ""}
//         `ms` from before the freeze until the thaw; `by`: "word", or "limit" when it thawed unasked, by this program
//         or by somebody else. `thawed` false: the agent did not say so for ten minutes, or the machine is gone

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <kiln/value.h>

namespace kiln {

/// A guest, and how it is asked. What does not answer, or with nonsense, throws.
class FreezableGuest {
 public:
  FreezableGuest() = default;
  FreezableGuest(const FreezableGuest&) = delete;
  FreezableGuest& operator=(const FreezableGuest&) = delete;
  virtual ~FreezableGuest() = default;
  /// Whether an agent answers at all, within a time of its own.
  virtual bool answers() = 0;
  /// Whether it is frozen before it was asked to be: whoever did that needs it. False when nobody can tell.
  virtual bool is_frozen() { return false; }
  /// Returns the number of file systems. When it throws, the guest may be frozen all the same, wholly or partly, or
  /// become so later.
  virtual std::uint64_t freeze(Duration limit) = 0;
  struct Thawed {
    std::optional<std::uint64_t> file_systems = {};  ///< that were frozen until now; nothing: it did not say
    std::string words = {};  ///< the agent's complaint: a hook may fail although the file systems are thawed
  };
  virtual Thawed thaw() = 0;
  virtual bool is_thawed() = 0;
  /// After something has thrown. False: the machine is gone.
  virtual bool reach_again() = 0;
};

struct FreezerTask {
  Duration limit{};                             ///< for the guest to stay frozen
  Duration thaw_for{std::chrono::minutes(10)};  ///< how long the thaw is tried
  int in = 0, out = 1;                          ///< where the word comes from, and answers go
};

/// What the program does. Returns its exit code.
int run_freezer(FreezableGuest&, const FreezerTask&);
/// Of the agent behind a socket. `patience`: for it to answer at all.
int run_freezer(const std::filesystem::path& agent, Duration patience, const FreezerTask&);

}  // namespace kiln

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
//         `ms` from before the freeze until the thaw; `by`: "word", or "limit" when it thawed unasked. `thawed` false:
//         the agent did not say so for ten minutes, or the machine is gone

#include <filesystem>

#include <kiln/value.h>

namespace kiln {

struct FreezerTask {
  std::filesystem::path agent;                  ///< the socket
  Duration patience{};                          ///< for an agent to answer at all
  Duration limit{};                             ///< for the guest to stay frozen
  Duration thaw_for{std::chrono::minutes(10)};  ///< how long the thaw is tried
  int in = 0, out = 1;                          ///< where the word comes from, and answers go
};

/// What the program does. Returns its exit code.
int run_freezer(const FreezerTask&);

}  // namespace kiln

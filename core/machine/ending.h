#pragma once
// ended.json: how an instance's QEMU ended, as kiln-attend saw it.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "process/process.h"

namespace kiln {

struct Instance;

/// The end of one run of a machine. Much of it is the guest's word: the serial lines, and whether it asked for it.
struct Ending {
  ProcessId process;                ///< of that QEMU
  std::string when;                 ///< ISO 8601, UTC
  Exit exit;                        ///< of that QEMU
  std::string reason;               ///< QMP's ShutdownCause, "guest-shutdown"; empty: QEMU said nothing
  bool panicked = false;            ///< the guest's kernel told so (pvpanic)
  std::vector<std::string> serial;  ///< the last 40 lines that the guest wrote, without escapes
};

/// Replaces the record of the folder in one step.
void write_ending(const std::filesystem::path& folder, const Ending&);
/// Of the run that the instance's record is of. Nothing while it runs, and when nobody was there to see it.
std::optional<Ending> read_ending(const Instance&);

/// "shut down by its guest", "qemu was killed by signal 9 (Killed)".
std::string describe(const Ending&);
/// The same of an instance that does not run, whether its end was recorded or not.
std::string how_it_ended(const Instance&);

}  // namespace kiln

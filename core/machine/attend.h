#pragma once
// kiln-attend: the parent of an instance's QEMU. It waits for QEMU's end and writes down how it came about. QEMU needs
// it for nothing else, and goes on without it.

#include <filesystem>
#include <vector>

#include "process/process.h"

namespace kiln {

/// The name of the program, as proc(5) shows it.
inline constexpr char attend_name[] = "kiln-attend";

/// Starts kiln-attend in `folder`, an instance's, and with it a QEMU. Returns that QEMU's pid; nothing when it did not
/// start: its words are in qemu.log. Errors: a program is not installed.
std::optional<pid_t> start_attended(const std::filesystem::path& folder, const std::string& instance,
                                    const std::vector<std::string>& qemu_arguments);

/// What kiln-attend does: reads QEMU's command line as JSON from `in`, writes its pid to `out` and closes that, waits,
/// and writes ended.json into the working folder. Holds no lock of kiln's.
void attend(int in, int out);

/// Removes the folder of an instance that has ended, waiting for an attendant that writes into it once more. Throws
/// Error when it is still there after some seconds.
void remove_instance_folder(const std::filesystem::path&);

/// Waits for the attendant of a QEMU that just ended, at most some seconds: then what it has to say is there.
/// Made while QEMU still runs.
class Attendant {
 public:
  explicit Attendant(const ProcessId& qemu) : process_(parent_of(qemu, attend_name)) {}
  void wait() const {
    if (process_) wait_gone(*process_, std::chrono::seconds(3));
  }

 private:
  std::optional<ProcessId> process_;
};

}  // namespace kiln

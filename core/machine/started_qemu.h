#pragma once
// The QEMU of an instance, from its start until it runs the guest.

#include <stop_token>

#include "machine/attend.h"
#include "machine/instances.h"
#include "machine/qemu.h"
#include "process/process.h"

namespace kiln {

/// The machine that an instance is.
MachineSpec machine_of(const Instance&);

/// A kiln that was killed between the start of a QEMU and the record of it leaves one that has the disk, and answers:
/// ends it. For an instance that does not run as far as its record tells.
void end_unrecorded(const Instance&, const std::stop_token& = {});

/// Killed by the destructor unless keep() was called.
class StartedQemu {
 public:
  /// `folder`: the instance's, prepared. Throws with QEMU's own words when it ends at once.
  StartedQemu(std::filesystem::path folder, const MachineSpec&);
  StartedQemu(const StartedQemu&) = delete;
  StartedQemu& operator=(const StartedQemu&) = delete;
  ~StartedQemu();

  const ProcessId& process() const { return *process_; }
  /// 30 s at most.
  void wait_until_it_runs(const std::stop_token&) const;
  /// Instead, of one that resumes: loads the memory of its folder, and lets it go on.
  void go_on_from_memory(const std::stop_token&) const;
  void keep() { kept_ = true; }

 private:
  std::filesystem::path folder_;
  std::optional<ProcessId> tpm_, process_;
  std::optional<Attendant> attendant_;  // known while QEMU runs only
  bool kept_ = false;
};

}  // namespace kiln

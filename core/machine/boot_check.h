#pragma once
// Proves that a disk boots: on an overlay that is thrown away, in a machine that reaches nothing.

#include <functional>
#include <stop_token>
#include <string>

#include <kiln/machine.h>

#include "machine/accelerator.h"
#include "machine/instances.h"

namespace kiln {

/// Told about four times a second while a machine boots: how long it runs, and the last line it wrote.
using BootProgress = std::function<void(Duration elapsed, const std::string& line)>;

/// The boot part of Machines. Returns when the expected text was seen (and the agent answered, when both are asked
/// for) and the machine is gone. Error with the last 40 serial lines when QEMU ends, when the boot comes to an end that
/// is known to be one (no boot loader, a panic), or when time runs out; cancelled() on stop. QEMU is gone on every way
/// out, and dies with kiln when that is killed.
BootReport boot_check(const BootSpec&, const Accelerator&, std::stop_token stop, const BootProgress& progress = {});

/// The same of an instance that was just started, and goes on. `signs`: expect, agent and timeout count.
BootReport watch_boot(const Instance&, BootSpec signs, std::stop_token stop, const BootProgress& progress = {});

}  // namespace kiln

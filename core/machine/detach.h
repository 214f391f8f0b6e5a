#pragma once
// Copies into an instance's own files what its disks still read from its image.

#include <cstdint>
#include <functional>
#include <stop_token>

#include "machine/instances.h"

namespace kiln {

/// By QEMU's block-stream job: in the machine's own QEMU while it runs and goes on, else in a qemu-storage-daemon. What
/// reads as zeros takes no space. Stopped or killed, the disks are as they were, with some of them copied. `told`:
/// bytes, of all disks together. Errors: the host's disk is full; a capture of the instance is under way.
void detach_disks(const Instance&, const std::stop_token& stop,
                  const std::function<void(std::uint64_t done, std::uint64_t total)>& told = {});

}  // namespace kiln

#pragma once
// Puts another content into an instance's disks, in place: only what differs is written.

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "disk/difference.h"
#include "machine/disk_server.h"
#include "machine/instances.h"

namespace kiln {

/// Writes the runs of `wanted` into disk number `disk` (0: the system disk) of an instance that is shut off, through a
/// qemu-storage-daemon whose formats are given, and flushes. Nobody else can open the disk meanwhile. When it throws,
/// the disk holds some of the runs: doing it again ends it. `told`: bytes.
void rewrite_disk(const Instance&, std::size_t disk, const BlockReader& wanted, const std::vector<ChunkRun>& runs,
                  const std::stop_token& stop,
                  const std::function<void(std::uint64_t done, std::uint64_t total)>& told = {});

/// Waits until all that the server was told is on the host's disk. Throws Error when it is not.
void flush(const DiskServer&);

/// Puts `wanted` in place of the firmware's variables, in one step. Throws refused() when they do not fit the machine's
/// firmware. Of a BIOS machine there are none: nothing is done.
void rewrite_vars(const Instance&, const BlockReader& wanted);

}  // namespace kiln

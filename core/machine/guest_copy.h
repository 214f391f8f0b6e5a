#pragma once
// Files and folders between this host and a guest, through its agent. Folders travel as tar, which the guest must have.

#include "machine/guest_access.h"
#include "machine/guest_archive.h"

namespace kiln {

/// Bytes so far, and in all.
using CopyProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// `from`: an absolute path in the guest. `to`: a folder that is there gets it under its own name; otherwise it becomes
/// `to`. Modes are kept. A file appears when it is whole.
CopyReport copy_from_guest(GuestAccess&, const std::string& from, const std::filesystem::path& to,
                           const CopyProgress& progress = {});
/// The same in the other direction. In the guest all of it belongs to whom the agent runs as: root.
CopyReport copy_to_guest(GuestAccess&, const std::filesystem::path& from, const std::string& to,
                         const CopyProgress& progress = {});

}  // namespace kiln

#pragma once
// instance.json: what is kept of an instance beside its disk.

#include "machine/instances.h"

namespace kiln {

/// Nothing when the folder holds no readable record. The state is asked of the host, not of the record.
std::optional<Instance> read_instance(const std::filesystem::path& folder);
/// Replaces the record in one step.
void write_instance(const Instance&);

}  // namespace kiln

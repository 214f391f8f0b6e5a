#pragma once
// instance.json: what is kept of an instance beside its disk.

#include "machine/instances.h"

namespace kiln {

/// Nothing when the folder holds no readable record. The state is asked of the host, not of the record.
std::optional<Instance> read_instance(const std::filesystem::path& folder);
/// Replaces the record in one step. Not `durable`: who writes many of them sees to that once.
void write_instance(const Instance&, bool durable = true);

/// As records have it: ISO 8601, UTC, whole seconds.
std::string now_utc();

}  // namespace kiln

#pragma once
// Before an instance is given up for a new one.

#include <stop_token>

#include <kiln/machine.h>

#include "catalog/image_entry.h"
#include "cli/services.h"
#include "machine/instances.h"

namespace kiln::cli {

/// What can be known of a launch before it: hardware that there is, room for the disks on their bus, a network that
/// leads where it is to lead. Throws as the launch would.
void require_valid(const LaunchSpec&, const ImageEntry&, std::size_t count);

/// Throws what would keep `spec` from being launched where `old` is now, as far as that can be told while it is there:
/// the policy, the image's disks, which are made ready on this host, firmware, ports, room, a host that answers.
void require_replaceable(Services&, const Instance& old, const LaunchSpec& spec, const ImageEntry&, std::stop_token);

}  // namespace kiln::cli

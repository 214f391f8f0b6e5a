#pragma once
// A group of a fleet's file: what its instances are to be, and in what those that are there differ from it.

#include <cstdint>
#include <optional>
#include <string>

#include <kiln/machine.h>

#include "engine/fleet.h"
#include "machine/instances.h"

namespace kiln::cli {

/// All but the image. `fleet`: its name. Throws invalid() that names the setting and the group.
LaunchSpec spec_of(const engine::FleetGroup&, const std::string& fleet);

/// Ports that are given count on within a group, so each instance has a place in it, from 0 on. Nothing: the group has
/// no such ports, or this instance has others.
std::optional<std::int64_t> place_of(const Instance&, const engine::FleetGroup&, const LaunchSpec&);
/// The same launch for that place.
LaunchSpec at_place(LaunchSpec, std::int64_t place);
/// Whether the file gives a port of the host, so that places matter.
bool gives_ports(const LaunchSpec&);

/// "memory is 1.0 GiB, not 2.0 GiB": the first thing that is not as the file says, beside the image. What it does not
/// say is not compared. Empty: nothing.
std::string difference(const Instance&, const engine::FleetGroup&, const LaunchSpec&);

}  // namespace kiln::cli

#pragma once
// Launching an image with the memory that was captured with its disks: whether it can be, and its way to the machine.

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include <kiln/block.h>
#include <kiln/catalog.h>

#include "catalog/image_entry.h"
#include "machine/instances.h"

namespace kiln::cli {

/// Facts that go with a memory, beside those of the machine: what QEMU's own state of it says nothing of.
Facts memory_facts(const Instance&);

/// Throws refused() or invalid(), with the reason: the image has no memory, it is another account's, its disk was
/// changed since, the machine was another one than this launch or this host makes. `account`: who launches.
const ImagePart& resumable_memory(const ImageEntry&, const LaunchSpec&, const std::string& account);

/// As the image's facts say.
Resumption resumption_of(const Image&);

/// The saved memory as a file of an instance. `told`: bytes of it, as they are written.
void write_memory(const BlockReader&, const std::filesystem::path& file, const std::stop_token&,
                  const std::function<void(std::uint64_t done, std::uint64_t total)>& told);

}  // namespace kiln::cli

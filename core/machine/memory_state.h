#pragma once
// The memory and the devices of a machine at one moment, as QEMU itself saves and loads them: an internal snapshot in a
// qcow2 file that holds nothing else (`snapshot-save`, `snapshot-load`: qapi/migration.json of QEMU 7.2). Unlike a
// migration it leaves the machine's disks alone, so that they can be of the same moment, and be read.
//
// What is in it is QEMU's, and fits the same machine only: the same board, accelerator, devices and sizes.

#include <filesystem>
#include <memory>
#include <string>

#include <kiln/block.h>
#include <kiln/file.h>

namespace kiln {

class Qmp;

/// The board's name with its version: "pc-q35-7.2".
std::string board_of(Qmp&);

/// What the host's processors are called; a guest that runs on them as they are (kvm) goes on on the same ones only.
std::string host_processor();

/// Saves them, of a machine that does not run meanwhile. `file`: absolute, for QEMU to write to, not there yet; it has
/// lost its name when this returns. `node`: its name in QEMU and its job's, for whoever has to take them apart. Blocks
/// for as long as it takes, and so does everything else that QEMU does.
File save_memory(Qmp&, const std::filesystem::path& file, const std::string& node);

/// The saved file as a part of an image.
std::shared_ptr<const BlockReader> memory_reader(File);

/// Puts it into a machine that was just made and did not run yet. `file`: as QEMU is to be told, relative to `folder`,
/// its working folder; gone afterwards. Error with QEMU's own words when it does not fit.
void load_memory(Qmp&, const std::filesystem::path& folder, const std::string& file);

}  // namespace kiln

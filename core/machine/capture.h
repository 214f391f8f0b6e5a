#pragma once
// Machines as images: all disks at one moment, while the machine goes on, or of one that is shut off.

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/context.h>

#include "disk/manifest.h"
#include "machine/instances.h"
#include "machine/point.h"

namespace kiln {

/// A file that overlays lie on, and what is in it.
struct KnownBase {
  std::filesystem::path file;
  Manifest content;
};

/// A machine that a QEMU has, running or paused.
struct CaptureTarget {
  std::string name;             ///< for messages
  std::filesystem::path qmp;    ///< a monitor that nobody else needs for as long
  std::filesystem::path agent;  ///< empty: there is none
  /// An instance's folder: other kilns that talk to its agent are waited for, and are told when its QEMU saves memory
  /// and hears nobody. Empty: of no instance.
  std::filesystem::path agent_turn = {};
  std::filesystem::path scratch;  ///< this machine's own, absolute, writable for QEMU; removed if empty then
  std::filesystem::path socket;   ///< in a private folder; QEMU will serve the disks there
  std::string socket_for_qemu;    ///< the same, as QEMU is to be told (107 bytes at most)
  std::vector<KnownBase> bases;   ///< that some drive's overlay may lie on
  /// What a drive held when that bitmap was begun; nothing: nobody knows any longer.
  std::function<std::optional<Manifest>(const std::string& bitmap, const std::string& drive)> since;
};

/// Returns when the guest is thawed; what the readers need in QEMU is gone with the last of them, or soon after
/// this process is killed. Errors: refused() when the spec wants more than is to be
/// had; somebody else captures it or uses QEMU's NBD server.
Capture capture_running(const CaptureTarget&, const CaptureSpec&, std::stop_token);

/// The disks of an instance that is shut off, read natively. While the readers live, QEMU refuses to start on them.
Capture capture_stopped(const Instance&, const Format& format, const std::vector<KnownBase>& bases);

/// What is in the file, when it is one of them.
std::optional<Manifest> content_of(const std::filesystem::path& file, const std::vector<KnownBase>& bases);
/// `wanted`, made fit for a part of an image, and unlike the others' names.
std::string part_name(const std::string& wanted, const std::vector<CapturedDrive>& others);
/// Adds the fact "capture.part.NAME" too, by which the next capture finds what `device` held.
void add_drive(Capture&, const std::string& wanted_name, const std::string& device, std::string_view role,
               std::shared_ptr<const BlockReader>);

}  // namespace kiln

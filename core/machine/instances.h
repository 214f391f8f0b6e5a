#pragma once
// Machines that were launched from images: each a folder $KILN_HOME/instances/<name> that holds all of it, and a QEMU
// that outlives kiln.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "machine/accelerator.h"
#include "process/file_lock.h"
#include "process/process.h"

namespace kiln {

/// What an instance's folder says of it (instance.json), and what its process says.
struct Instance {
  enum class State {
    running,
    stopped,
    broken,  ///< kiln was killed while it launched: remove it
  };
  std::string name;
  std::string image_id, image;  ///< image: "web:2026-11-22.1", for people
  std::string created;          ///< ISO 8601, UTC
  std::string accelerator;
  Firmware firmware = Firmware::bios;
  Bytes memory;
  unsigned cpus = 0;
  std::vector<PortForward> ports;
  ProcessId process;    ///< of the QEMU that was started
  std::string boot_id;  ///< of the host, then: after a reboot of the host the process is another's
  State state = State::stopped;
  std::filesystem::path folder;
};

std::string_view to_text(Instance::State);

/// The image to launch from, as the caller resolved it.
struct LaunchBase {
  DiskFile disk;         ///< complete, never written again; must stay where it is while the instance exists
  std::string image_id;  ///< for instances_of()
  std::string image;     ///< "web:2026-11-22.1"
  std::string name;      ///< the image's name: what an unnamed instance is named after
  Firmware firmware = Firmware::bios;
};

/// How stop() brought it about.
enum class Stopped { already, by_guest, by_qemu, killed };

/// The instances of one home. Several kilns may work on one home: a launch and a removal hold a lock on the folder.
class Instances {
 public:
  /// `home` is $KILN_HOME; nothing is made before the first launch.
  explicit Instances(const std::filesystem::path& home) : root_(home / "instances") {}

  /// Starts a machine and returns when QEMU runs it. On failure nothing is left: no process, no folder, no port.
  /// Errors: name not valid or taken, a port in use (named), QEMU's own words when it does not start.
  Launched launch(const LaunchBase&, const LaunchSpec&, const Accelerator&, std::stop_token stop = {}) const;

  std::vector<Instance> list() const;  ///< by name
  /// Throws invalid() with the nearest name when there is none.
  Instance get(const std::string& name) const;
  std::vector<Instance> instances_of(const std::string& image_id) const;

  /// ACPI power button first; after `limit` QEMU is told to quit, and killed when it does not.
  Stopped stop(const std::string& name, Duration limit = std::chrono::seconds(60), std::stop_token stop = {}) const;
  /// Removes its folder. A running one is refused unless `force`, which ends it at once.
  void remove(const std::string& name, bool force = false) const;

  std::filesystem::path serial_log(const std::string& name) const;
  /// The serial console. When `in` is a terminal: raw, both ways, until Ctrl-] (or the machine's end). Otherwise what
  /// the guest wrote so far is written to `out`, and nothing is asked.
  void console(const std::string& name, int in, int out, std::stop_token stop = {}) const;

 private:
  /// Held while instances are made or removed, so that two kilns do not take one name or one port.
  FileLock lock_folder() const;
  std::filesystem::path root_;
};

/// Letters, digits and '-', at most 63, beginning and ending with a letter or digit: it becomes a host name.
bool valid_instance_name(std::string_view);

}  // namespace kiln

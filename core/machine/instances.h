#pragma once
// Machines that were launched from images: each a folder $KILN_HOME/instances/<name> that holds all of it, and a QEMU
// that outlives kiln.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
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
  std::string account;     ///< whose it is; empty in a record from before instances had owners
  bool of_server = false;  ///< the account is a login of the catalog's server, not a name of this home's own catalog
  std::string region;      ///< that the image was launched in
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

/// As whom the instances of a home are used. Other accounts' do not exist for it.
struct InstanceUser {
  std::string account = {};
  bool of_server = false;  ///< as in Instance
  /// Nobody asked to act as another account. Who keeps the home has the records of old and what is broken, and all
  /// that accounts of the home's own catalog have: they are his to give.
  bool keeps_home = true;
};

/// The image to launch from, as the caller resolved it.
struct LaunchBase {
  DiskFile disk;         ///< complete, never written again; must stay where it is while the instance exists
  std::string image_id;  ///< for instances_of()
  std::string image;     ///< "web:2026-11-22.1"
  std::string name;      ///< the image's name: what an unnamed instance is named after
  Firmware firmware = Firmware::bios;
  std::string region = {};  ///< where the image is
};

/// How stop() brought it about.
enum class Stopped { already, by_guest, by_qemu, killed };

/// The instances of one home, as one account may use them. Several kilns may work on one home: a launch and a removal
/// hold a lock on the folder.
class Instances {
 public:
  /// `home` is $KILN_HOME; nothing is made before the first launch.
  explicit Instances(const std::filesystem::path& home, InstanceUser user = {})
      : root_(home / "instances"), user_(std::move(user)) {}

  /// Starts a machine and returns when QEMU runs it. On failure nothing is left: no process, no folder, no port.
  /// Errors: name not valid or taken, a port in use (named), QEMU's own words when it does not start.
  Launched launch(const LaunchBase&, const LaunchSpec&, const Accelerator&, std::stop_token stop = {}) const;

  std::vector<Instance> list() const;  ///< that the user sees, by name
  bool sees(const Instance&) const;
  /// Throws invalid() with the nearest name when there is none.
  Instance get(const std::string& name) const;
  /// Whoever asks: what somebody has launched needs its image. What they are is for those who see them.
  std::vector<Instance> everybodys() const;
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
  /// Names are the home's: throws Error when another account has one, and says no more of it.
  void require_no_others(const std::string& name) const;
  std::filesystem::path root_;
  InstanceUser user_;
};

/// Letters, digits and '-', at most 63, beginning and ending with a letter or digit: it becomes a host name.
bool valid_instance_name(std::string_view);

}  // namespace kiln

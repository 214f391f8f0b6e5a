#pragma once
// Machines that were launched from images: each a folder $KILN_HOME/instances/<name> that holds all of it, and a QEMU
// that outlives kiln. Of one that a driver keeps on another host the folder holds the record, and the rest is there.

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <kiln/context.h>

#include "machine/accelerator.h"
#include "machine/driver.h"
#include "machine/hardware.h"
#include "process/file_lock.h"
#include "process/process.h"

namespace kiln {

/// What an instance's folder says of it (instance.json), and what its process says.
struct Instance {
  enum class State {
    running,
    stopped,
    broken,   ///< its record cannot be read: remove it
    unknown,  ///< its host was not asked, or did not answer
    lost,     ///< its host does not have it any longer
  };
  std::string name;
  std::string account;     ///< whose it is; empty in a record from before instances had owners
  bool of_server = false;  ///< the account is a login of the catalog's server, not a name of this home's own catalog
  std::string region;      ///< that the image was launched in
  std::string image_id, image;  ///< image: "web:2026-11-22.1", for people
  std::string reference;        ///< what it was launched by: "web:stable"; empty in a record from before that was kept
  DiskFile base;        ///< what its disk lies on; empty in a record from before instances could be started again
  std::string created;  ///< ISO 8601, UTC
  std::string accelerator;
  Hardware hardware;
  std::uint64_t disk_size = 0;  ///< 0 in a record from before it was kept
  std::vector<DataDisk> data;   ///< the disks beside the system disk, in their order
  std::string uuid, mac;        ///< of the machine, for its guest and its network
  std::string token;            ///< of the launch that made it, see LaunchSpec
  /// Not empty: the image whose content is being put into its disk, or was when kiln was killed. Until that is done
  /// the disk is neither the one nor the other.
  std::string restoring;
  std::string fleet;      ///< "fleet/group" that it belongs to; empty: none
  bool detached = false;  ///< its disks need nothing of its image any longer, and have no base
  std::vector<PortForward> ports;
  ProcessId process;            ///< of the QEMU that was started; pid 0: none ever was
  std::string boot_id;          ///< of the host, then: after a reboot of the host the process is another's
  std::string driver = "qemu";  ///< else "libvirt"
  std::string connect;          ///< URI of its host, when it is a libvirt domain
  State state = State::stopped;
  std::string reason;  ///< why the state is what it is, where that is not plain
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

/// Throws Error when its record is not.
void require_readable(const Instance&);

/// For what works on the host's own processes and files only: throws refused() for what a driver keeps elsewhere, and
/// Error when the record cannot be read.
void require_here(const Instance&, std::string_view doing);

/// The machine that a memory was saved of; nothing else can go on from it.
struct Resumption {
  std::string board;      ///< with its version; empty: the instances are not resumed, they boot
  std::string uuid, mac;  ///< that its guest knows
};

/// The image to launch from, as the caller resolved it.
struct LaunchBase {
  DiskFile disk;                     ///< complete, never written again; must stay where it is while the instance exists
  std::string image_id;              ///< for instances_of()
  std::string image;                 ///< "web:2026-11-22.1"
  std::string name;                  ///< the image's name: what an unnamed instance is named after
  std::uint64_t size = 0;            ///< of the disk, as the guest sees it
  Facts facts = {};                  ///< of the image: what its machines are made of
  std::string region = {};           ///< where the image is
  std::string reference = {};        ///< what the user named it by
  std::vector<DataDisk> data = {};   ///< the image's other disks; as `disk`
  std::vector<std::byte> vars = {};  ///< the firmware's variables; empty: as of a machine that never ran
  Resumption resumption = {};        ///< what the launch resumes, if it does
};

/// What a launch does besides. Each may be empty.
struct LaunchHooks {
  /// Told how many instances run, or are made when they are not to run.
  std::function<void(std::size_t done, std::size_t total)> told = {};
  /// [on failure nothing is launched] All of them are made, and nobody else sees them yet. Those that resume get
  /// machine_file::memory here.
  std::function<void(const std::vector<Instance>&)> before_start = {};
};

/// How stop() brought it about.
enum class Stopped { already, by_guest, by_qemu, killed };

/// The instances of one home, as one account may use them. Several kilns may work on one home: a launch and a removal
/// hold a lock on the folder.
class Instances {
 public:
  /// `home` is $KILN_HOME; nothing is made before the first launch.
  /// `libvirt` is borrowed; without it instances of that driver are listed, and nothing can be done with them.
  explicit Instances(const std::filesystem::path& home, InstanceUser user = {}, Driver* libvirt = nullptr)
      : root_(home / "instances"), user_(std::move(user)), libvirt_(libvirt) {}

  /// Makes machines and starts them; returns when QEMU runs them all. On failure nothing is left: no process, no
  /// folder, no port. A kiln that is killed leaves whole instances, which are stopped, or none. Errors: a name not
  /// valid or taken, a port in use (named), no room on the host (with figures), QEMU's own words when one does not
  /// start.
  std::vector<Launched> launch(const LaunchBase&, const LaunchSpec&, const Accelerator&, std::stop_token stop = {},
                               const LaunchHooks& = {}) const;

  /// That the user sees, by name. No other host is asked: the state of what is there is `unknown`.
  std::vector<Instance> list() const;
  /// Asks the other hosts how theirs are: all at once, and none for longer than `limit`.
  void ask_hosts(std::vector<Instance>&, Duration limit = std::chrono::seconds(5)) const;
  bool sees(const Instance&) const;
  /// Throws invalid() with the nearest name when there is none. Its host is asked.
  Instance get(const std::string& name) const;
  /// Whoever asks: what somebody has launched needs its image. What they are is for those who see them.
  std::vector<Instance> everybodys() const;
  std::vector<Instance> instances_of(const std::string& image_id) const;

  /// Starts one that is stopped, on the disk that it has. False when it runs already. What does not start stays
  /// stopped. Errors: as launch(). `overcommit`: also when the host has no room for it.
  bool start(const std::string& name, const Accelerator&, std::stop_token stop = {}, bool overcommit = false) const;
  /// Notes which image is being put into its disk; empty: that is done. Refused for one that runs.
  void mark_restoring(const std::string& name, const std::string& image) const;
  /// Notes that its disks stand alone: see detach.h.
  void mark_detached(const std::string& name) const;
  /// Whether the host has room for it now.
  bool has_room_for(const std::string& name) const;
  /// ACPI power button first; after `limit` QEMU is told to quit, and killed when it does not.
  Stopped stop(const std::string& name, Duration limit = std::chrono::seconds(60), std::stop_token stop = {}) const;
  /// Removes its folder, and what its host has of it. A running one is refused unless `force`, which ends it at once.
  /// `force` also gives up what a host has that cannot be reached: returns the failure then, else nothing.
  std::optional<Error> remove(const std::string& name, bool force = false) const;

  std::filesystem::path serial_log(const std::string& name) const;
  /// The last bytes that the guest wrote to its serial console, wherever they are kept.
  std::string serial_text(const std::string& name, std::uint64_t last_bytes) const;
  /// The serial console. When `in` is a terminal: raw, both ways, until Ctrl-] (or the machine's end). Otherwise what
  /// the guest wrote so far is written to `out`, and nothing is asked.
  void console(const std::string& name, int in, int out, std::stop_token stop = {}) const;

 private:
  /// Null: it is a QEMU of this host. Throws Error when this kiln does not have its driver.
  Driver* driver_of(const Instance&) const;
  Launched launch_elsewhere(Driver&, const Instance&, const LaunchSpec&, const std::stop_token&) const;
  /// Held while instances are made or removed, so that two kilns do not take one name or one port.
  FileLock lock_folder() const;
  /// Names are the home's: throws Error when another account has one, and says no more of it.
  void require_no_others(const std::string& name) const;
  std::filesystem::path root_;
  InstanceUser user_;
  Driver* libvirt_;
};

}  // namespace kiln

#pragma once
// Virtual machines, as the boot and launch stages use them.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kiln/block.h>
#include <kiln/format.h>
#include <kiln/value.h>

namespace kiln {

enum class Firmware {
  bios,
  uefi,
  secure,  ///< UEFI that starts only what is signed by a key it knows, and a TPM 2.0
};

/// A host port that leads into the guest, on the loopback address.
struct PortForward {
  std::uint16_t host = 0, guest = 0;  ///< host 0, in a LaunchSpec: any that is free
};

/// A disk to boot, on an overlay that is thrown away.
struct BootSpec {
  std::filesystem::path disk;    ///< never written
  std::string format = "qcow2";  ///< always given, never probed
  std::uint64_t disk_size = 0;   ///< guest-visible bytes
  std::filesystem::path folder;  ///< overlay, sockets and logs go here; the caller removes it
  Firmware firmware = Firmware::bios;
  Bytes memory{1u << 30};
  unsigned cpus = 2;
  std::string expect;  ///< text on the serial console; empty: not waited for
  bool agent = false;  ///< wait for the guest agent to answer
  Duration timeout{std::chrono::minutes(5)};
};

struct BootReport {
  Duration elapsed{};       ///< until the expected thing was seen
  std::string accelerator;  ///< "tcg" or "kvm"
  std::string matched;      ///< the serial line that held the text
};

/// Machines to start from a published image and to leave running. What is empty or 0 is as the image's record says it
/// (facts "machine.*"), else kiln's default.
struct LaunchSpec {
  std::string image;      ///< "name", "name:version" or "name:channel"
  std::string reference;  ///< what the user called it, when `image` is an id already
  /// The instance's; empty: made from the image's. Of several: "web-#" is web-1, web-2, "web-##" is web-01; without a
  /// "#" it gets "-#".
  std::string name;
  unsigned count = 1;  ///< 1 to 500
  Bytes memory{0};
  unsigned cpus = 0;
  std::uint64_t disk_size = 0;  ///< not below the image's
  std::string disk_bus;         ///< "virtio", "scsi", "sata", "nvme"
  std::string nic;              ///< "virtio", "e1000", "e1000e", "rtl8139", "none"
  std::string network;          ///< "user", "tap=NAME": a tap device of the host's that is there
  std::string firmware;         ///< "bios", "uefi", "secure": UEFI that starts only what is signed, with a TPM
  /// For several instances the host's ports count on from these.
  std::vector<PortForward> ports;
  std::vector<std::string> ssh_keys;  ///< public key lines
  std::string user_data;              ///< cloud-init user data; replaces the one made from ssh_keys
  std::string accelerator;            ///< empty: what the probe found
  /// Whose launch it is: a second one with the same token returns what the first one made, and makes what is missing.
  std::string token;
  std::string fleet;     ///< "fleet/group" that they belong to
  bool stopped = false;  ///< made, not started
  /// The guest has no cloud-init: its identity, and ssh_keys for root, are written into its disk before it starts.
  bool personalise = false;
  /// Not booted: the machine goes on from the memory that was captured with its disks (CaptureSpec::with_memory).
  bool resume = false;
  bool overcommit = false;      ///< also when the host has not the memory or the processors for them
  std::string driver = "qemu";  ///< "qemu": processes of this host; "libvirt": domains
  std::string connect;          ///< libvirt's URI of the host; empty: libvirt's own default
};

struct Launched {
  std::string name;
  std::filesystem::path serial_log;
  std::int64_t pid = 0;                 ///< 0: it was not to be started, or runs on a host of its own
  std::vector<PortForward> ports = {};  ///< with the host's ports that were chosen
  bool was_there = false;               ///< made by an earlier launch with the same token
  std::uint64_t sent = 0;               ///< bytes of the image that its host lacked
};

struct Launches {
  std::vector<Launched> instances;         ///< as many as were asked for, by name
  std::vector<std::string> warnings = {};  ///< what the user should be told of the image
};

/// How much a captured disk can be relied on.
enum class Consistency {
  crash_consistent,  ///< as after a power cut at that moment
  quiesced,          ///< the guest's file systems were frozen, by its agent
  stopped,           ///< nothing ran
};

/// A machine whose disks are to be taken as they are at one moment: an instance, any domain of libvirt's, or any QEMU.
struct CaptureSpec {
  std::string instance;           ///< its name; or empty, and
  std::string domain = {};        ///< a domain's name or UUID, and
  std::string connect = {};       ///< libvirt's URI of its host; empty: libvirt's own default. Or both empty, and
  std::filesystem::path qmp;      ///< a QMP socket of the machine's QEMU
  std::filesystem::path agent;    ///< the socket of its guest agent's channel; empty: none, or the instance's
  std::filesystem::path scratch;  ///< a folder for what the guest overwrites meanwhile; empty: one is chosen
  Consistency least = Consistency::crash_consistent;  ///< less than that is refused
  Duration freeze_limit{std::chrono::seconds(10)};    ///< the guest is thawed after that, whatever happens
  /// Also the state of its memory and its devices, of the same moment; an instance that runs only. The machine stands
  /// still while they are saved. Its file systems are not frozen: they go on, with what they had not written yet.
  bool with_memory = false;
};

/// A drive at that moment. While a reader lives, QEMU keeps for it what the guest overwrites.
struct CapturedDrive {
  std::string name;  ///< the device's id; fit for a part of an image, and no other drive's
  std::string role;  ///< as the part of an image (part_role); empty: the system disk
  std::shared_ptr<const BlockReader> disk;
};

struct Capture {
  std::vector<CapturedDrive> drives;  ///< the system disk, then the others in the machine's order; all of one moment
  Facts facts;                        ///< "capture.*", "machine.*", "memory.*", "boot.firmware", "parent"
  std::vector<std::string> warnings;
};

/// Lent to stages. Calls block; cancellation is the context's.
class Machines {
 public:
  /// Returns when the expected thing was seen and the machine is gone. Error with the last 40 serial lines when QEMU
  /// dies or time runs out.
  virtual BootReport boot(const BootSpec&) = 0;
  /// All of them, or none: when one does not start, nothing that this call made is left.
  virtual Launches launch(const LaunchSpec&) = 0;
  /// Takes a point in time of a machine that runs, is paused or is shut off. The machine goes on.
  virtual Capture capture(const CaptureSpec&) = 0;

 protected:
  ~Machines() = default;
};

}  // namespace kiln

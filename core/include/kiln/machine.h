#pragma once
// Virtual machines, as the boot and launch stages use them.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <kiln/value.h>

namespace kiln {

enum class Firmware { bios, uefi };

/// A host port that leads into the guest, on the loopback address.
struct PortForward {
  std::uint16_t host = 0, guest = 0;
};

/// A disk to boot, on an overlay that is thrown away.
struct BootSpec {
  std::filesystem::path disk;    ///< never written
  std::string format = "qcow2";  ///< always given, never probed
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

/// A machine to start from a published image and to leave running.
struct LaunchSpec {
  std::string image;  ///< "name" or "name:version"
  std::string name;   ///< the instance's; empty: made from the image's
  Bytes memory{1u << 30};
  unsigned cpus = 2;
  std::vector<PortForward> ports;
  std::vector<std::string> ssh_keys;  ///< public key lines
  std::string user_data;              ///< cloud-init user data; replaces the one made from ssh_keys
  std::string accelerator;            ///< empty: what the probe found
};

struct Launched {
  std::string name;
  std::filesystem::path serial_log;
  std::int64_t pid = 0;
  std::vector<std::string> warnings = {};  ///< what the user should be told of the image
};

/// Lent to stages. Calls block; cancellation is the context's.
class Machines {
 public:
  /// Returns when the expected thing was seen and the machine is gone. Error with the last 40 serial lines when QEMU
  /// dies or time runs out.
  virtual BootReport boot(const BootSpec&) = 0;
  virtual Launched launch(const LaunchSpec&) = 0;

 protected:
  ~Machines() = default;
};

}  // namespace kiln

#pragma once
// One point in time of all disks of a running QEMU, to be read while the guest goes on writing.
//
// Before the guest overwrites a block, QEMU keeps the old one in a small qcow2 file of its own (a "fleece", whose
// backing node is the guest's disk): `blockdev-backup` with sync=none, started for all drives in one `transaction`
// (QEMU 7.2, docs/interop/live-block-operations and qemu-qmp-ref). The fleece is exported over NBD, read-only.
//
// What changes from here on is noted in a dirty bitmap of each drive, so that the next capture reads only that. The
// bitmaps are called kiln-<number>-<random>; a name is given once, so it tells which capture it belongs to.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <kiln/file.h>

#include "machine/keeper.h"
#include "qmp/qmp.h"

namespace kiln {

/// A dirty bitmap of ours on a drive.
struct DriveBitmap {
  std::string name;
  bool recording = false;
  bool sound = true;  ///< false: QEMU was killed while it was in use, or something else is doubtful
};

/// A drive that the guest can write to.
struct GuestDrive {
  std::string name;    ///< for people: the id of the device, or QEMU's name
  std::string node;    ///< node name of the disk's topmost layer
  std::string format;  ///< of that layer, as QEMU was told
  std::string bus;     ///< "virtio", "scsi", "sata", "nvme", or QEMU's type of the device; may be empty
  std::uint64_t size = 0;
  bool is_flash = false;                  ///< the chip of the firmware's variables
  std::filesystem::path below = {};       ///< the file that its overlay lies on, when there is exactly one layer below
  std::vector<DriveBitmap> bitmaps = {};  ///< ours, the oldest first
};

/// Disks in QEMU's order, then what holds the firmware's variables. Throws Error when there is no disk.
std::vector<GuestDrive> writable_drives(Qmp&);

/// Ends what a kiln that was killed has left in this QEMU: exports, jobs and nodes of ours. Bitmaps stay. `serves`: the
/// NBD server is ours, also when nothing is exported yet. False: not all of it is gone yet.
bool clear_fleeces(Qmp&, bool serves = false);

/// What the keeper does (keeper.h): clears the QEMU behind `monitor` when `word` ends without a last byte 'd'. A fleece
/// that nobody reads would slow the guest down, and take more of the host's disk with each of its writes. Between the
/// bytes 'p' and 'r' the machine stands still, and goes on in that case; 's' says that the NBD server is ours, 'n' that
/// it is not.
int clear_when_left(const std::filesystem::path& monitor, int word);

/// One thread. The destructor leaves nothing in QEMU but the bitmaps; the guest is not disturbed by it. When this
/// process is killed another one does the same.
class Fleece {
 public:
  /// Prepares a fleece for each drive: a file in `folder`, absolute, which QEMU can write to. It loses its name at
  /// once. `monitor`: the socket of the session, which is free again once this process is gone.
  Fleece(Qmp, const std::filesystem::path& monitor, std::vector<GuestDrive>, const std::filesystem::path& folder);
  Fleece(const Fleece&) = delete;
  Fleece& operator=(const Fleece&) = delete;
  ~Fleece();

  /// Forgets what the drive's bitmaps know.
  void remove_bitmaps(std::size_t drive, const std::vector<std::string>& names);
  /// Stops a machine that runs. When this process is killed before resume(), another one lets it go on.
  void pause();
  void resume();
  /// The point in time.
  void take();
  /// What the machine holds beside its disks, of the same moment when it does not run from take() on until this is
  /// done.
  File save_memory(const std::filesystem::path& folder);
  /// `socket`: as QEMU is to be told. `bitmaps`: of each drive, to be exported with it.
  void serve(const std::string& socket, const std::vector<std::vector<std::string>>& bitmaps);

  const std::vector<GuestDrive>& drives() const noexcept { return drives_; }
  /// Of the bitmap that notes what changes after take().
  const std::string& bitmap() const noexcept { return bitmap_; }
  /// The name of a drive's export.
  static std::string export_name(std::size_t drive);

 private:
  void prepare(std::size_t drive, const std::filesystem::path& folder);
  void tell_keeper(char byte);
  Keeper keeper_;
  Qmp qmp_;
  std::vector<GuestDrive> drives_;
  std::string bitmap_;
  bool paused_ = false, serves_ = false;
};

}  // namespace kiln

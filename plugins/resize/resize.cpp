// Grows the virtual disk, and with it the partition and the file system that matter.
#include <algorithm>
#include <optional>
#include <sstream>

#include <kiln/plugin.h>

namespace kiln {
namespace {

constexpr std::uint64_t sector = 512;
constexpr std::uint64_t alignment = 2048;  // sectors; what every partitioner has used since 2010
constexpr std::uint64_t gpt_backup = 33;   // sectors at the end: 32 of entries, 1 of header (UEFI 2.10, 5.3)
constexpr std::uint64_t mbr_limit = (1ull << 32) - 1;  // a partition's sectors are 32 bits

struct Params {
  Bytes size;
  std::optional<std::int64_t> partition;
};

/// A row of the partition table, in bytes; `last` is the last byte.
struct Row {
  int number = 0;
  std::uint64_t first = 0, last = 0;
};

/// What holds the file system: a device, perhaps a partition, perhaps volumes in between.
struct Place {
  std::string file_system;                  // the device that is mounted
  std::string physical_volume;              // empty: no LVM
  std::string disk;                         // "/dev/sda"
  std::optional<std::int64_t> partition{};  // nothing: the whole disk is used without a table
};

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

std::vector<Row> rows(Guest& g, const std::string& disk) {
  std::vector<Row> all;
  for (const std::string& line : lines(g.call({"part-list", disk}))) {
    Row row;
    std::istringstream(line) >> row.number >> row.first >> row.last;
    all.push_back(row);
  }
  return all;
}

/// inspection names a btrfs subvolume "btrfsvol:/dev/sda2/@".
std::string device_of(const std::string& root) {
  constexpr std::string_view prefix = "btrfsvol:";
  if (!root.starts_with(prefix)) return root;
  const std::string rest = root.substr(prefix.size());
  return rest.substr(0, rest.find('/', rest.find('/', 1) + 1));
}

Place place_of(Guest& g, const std::string& device) {
  Place place{device, {}, {}, {}};
  std::string below = device;
  if (g.call({"is-lv", device}) == "true") {
    const std::vector<std::string> volumes = lines(g.call({"pvs"}));
    if (volumes.size() != 1)
      throw Error("the root file system is on LVM with " + std::to_string(volumes.size()) + " physical volumes",
                  "grow it inside the running guest", volumes);
    below = place.physical_volume = volumes[0];
  }
  const std::vector<std::string> disks = lines(g.call({"list-devices"}));
  place.disk = below;
  if (std::ranges::find(disks, below) != disks.end()) return place;
  place.disk = g.call({"part-to-dev", below});
  place.partition = std::stoll(g.call({"part-to-partnum", below}));
  return place;
}

/// The device the user named, or the one that holds the root file system.
std::string wanted_device(Guest& g, const Params& p) {
  if (p.partition) return "/dev/sda" + std::to_string(*p.partition);
  const Facts& os = g.os();
  const auto root = os.find("os.root");
  return root == os.end() ? std::string() : device_of(root->second);
}

std::uint64_t last_usable_sector(Guest& g, const std::string& disk, std::uint64_t size) {
  const std::uint64_t sectors = size / sector;
  if (g.call({"part-get-parttype", disk}) == "gpt") return (sectors - gpt_backup) / alignment * alignment - 1;
  if (sectors > mbr_limit)
    throw Error("an MBR partition table cannot use " + format_bytes(size), "its limit is 2 TiB; convert it to GPT");
  return sectors / alignment * alignment - 1;
}

/// Makes the partition end where the disk does. False when it does already.
bool grow_partition(Guest& g, const Place& place, std::uint64_t size) {
  const int number = static_cast<int>(*place.partition);
  const std::vector<Row> all = rows(g, place.disk);
  const auto row = std::ranges::find(all, number, &Row::number);
  if (row == all.end()) throw Error("the disk has no partition " + std::to_string(number));
  std::vector<std::string> evidence;
  for (const Row& other : all)
    if (other.number != number && other.last > row->last)
      evidence.push_back("partition " + std::to_string(other.number) + " follows: " +
                         format_bytes(other.last + 1 - other.first) + " at " + format_bytes(other.first));
  if (!evidence.empty())
    throw Error("partition " + std::to_string(number) + " cannot grow: it is not the last one of the disk",
                "name the last one with partition = N, or leave partitions to the guest's first boot", evidence);
  if (g.call({"part-get-parttype", place.disk}) == "gpt") g.call({"part-expand-gpt", place.disk});
  const std::uint64_t last = last_usable_sector(g, place.disk, size);
  if (last * sector + sector - 1 <= row->last) return false;
  g.call({"part-resize", place.disk, std::to_string(number), std::to_string(last)});
  return true;
}

void grow_file_system(Guest& g, const std::string& device) {
  const std::string type = g.call({"vfs-type", device});
  if (type.starts_with("ext")) {
    g.call({"e2fsck", device});
    g.call({"resize2fs", device});
    return;
  }
  // These two grow only while they are mounted.
  const bool xfs = type == "xfs";
  if (!xfs && type != "btrfs")
    throw Error("a file system of type \"" + type + "\" on " + device + " cannot be grown",
                "ext2, ext3, ext4, xfs and btrfs can");
  g.call({"mount", device, "/"});
  g.call({xfs ? "xfs-growfs" : "btrfs-filesystem-resize", "/"});
  g.call({"umount-all"});
}

class Resize final : public StageOf<Params> {
 public:
  Resize()
      : StageOf(
            {.name = "resize", .summary = "Grow the virtual disk, the last partition and its file system."},
            {{"size", &Params::size, "New virtual size, for example \"20G\". Not smaller than it is now.", required},
             {"partition", &Params::partition,
              "Number of the partition to grow; default: the one with the root file system. It must be the last."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    if (p.size.count == 0 || p.size.count % sector != 0)
      c.problem("size", "\"size\" must be a multiple of 512 bytes", "for example \"20G\"");
    if (p.partition && (*p.partition < 1 || *p.partition > 128))
      c.problem("partition", "\"partition\" must be a number from 1 to 128");
  }

  void run(Context& ctx, const Params& p) const override {
    const std::uint64_t before = ctx.disk_size();
    if (p.size.count < before)
      throw Error("the disk has " + format_bytes(before) + " and would become smaller: " + format_bytes(p.size.count),
                  "kiln only grows disks; shrink the file system and the partitions inside the guest first");
    if (p.size.count > before) ctx.resize(p.size.count);
    const std::string sizes = format_bytes(before) + " → " + format_bytes(p.size.count);

    Guest& g = ctx.guest();
    const std::string device = wanted_device(g, p);
    if (device.empty()) {
      ctx.warn("no operating system was found: only the virtual disk has grown, not what is on it");
      return ctx.summary(sizes + ", the disk only");
    }
    g.call({"umount-all"});
    const Place place = place_of(g, device);
    ctx.progress({Progress::Unit::operations, 0, 2, "partition"});
    const bool grown = place.partition && grow_partition(g, place, p.size.count);
    ctx.progress({Progress::Unit::operations, 1, 2, "file system"});
    if (!place.physical_volume.empty()) {
      g.call({"pvresize", place.physical_volume});
      g.call({"lvresize-free", place.file_system, "100"});
    }
    grow_file_system(g, place.file_system);
    ctx.summary(sizes + ", " + (grown ? "partition " + std::to_string(*place.partition) + " and " : std::string()) +
                g.call({"vfs-type", place.file_system}) + " on " + place.file_system);
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Resize)

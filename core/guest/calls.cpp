// Guest::call(): the calls of the appliance that stages need, by their guestfish words. A word that is not in the table
// does not exist: what a stage can do to a disk is listed here.

#include <fmt/format.h>

#include <array>
#include <functional>
#include <limits>
#include <map>

#include <kiln/text.h>

#include "guest/paths.h"
#include "guest/state.h"

namespace kiln {
namespace {

using Words = std::vector<std::string>;

/// One call: how many words it takes after its name, and what it does with them.
struct Verb {
  std::size_t least, most;
  const char* usage;
  std::function<std::string(const Appliance&, const Words&)> run;
};

template <class Int>
Int integer(const std::string& word) {
  std::size_t used = 0;
  long long value = 0;
  try {
    value = std::stoll(word, &used, 10);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used != word.size() || word.empty() || value < std::numeric_limits<Int>::min() ||
      value > std::numeric_limits<Int>::max())
    throw Error("not a number the appliance can take: " + printable(word, 64));
  return static_cast<Int>(value);
}

std::string what(const Words& w) {
  std::string all = w[0];
  for (std::size_t i = 1; i < w.size(); ++i) all += " " + printable(w[i], 64);
  return all;
}

/// Calls that return 0 or -1, all of whose words are strings.
Verb strings1(int (*f)(guestfs_h*, const char*), const char* usage) {
  return {1, 1, usage, [f](const Appliance& a, const Words& w) {
            a.check(f(a.handle(), w[1].c_str()), what(w));
            return std::string();
          }};
}
Verb strings2(int (*f)(guestfs_h*, const char*, const char*), const char* usage) {
  return {2, 2, usage, [f](const Appliance& a, const Words& w) {
            a.check(f(a.handle(), w[1].c_str(), w[2].c_str()), what(w));
            return std::string();
          }};
}
Verb strings3(int (*f)(guestfs_h*, const char*, const char*, const char*), const char* usage) {
  return {3, 3, usage, [f](const Appliance& a, const Words& w) {
            a.check(f(a.handle(), w[1].c_str(), w[2].c_str(), w[3].c_str()), what(w));
            return std::string();
          }};
}
std::string own_name(const Appliance& a, const std::string& path) {
  const auto name = name_in_folder(a, path);
  if (!name) throw Error("there is no folder for " + printable(path, 64) + " in the guest");
  return *name;
}
/// Where cp and mv put something: they follow a link, so it must lead somewhere in the guest.
std::string destination(const Appliance& a, const std::string& path) {
  const std::string name = own_name(a, path);
  const bool is_link = a.truth(guestfs_is_symlink(a.handle(), name.c_str()), "cannot look at " + printable(path, 64));
  return is_link ? real_path(a, path) : name;
}
/// The same with two names that the guest itself has to resolve.
Verb names2(int (*f)(guestfs_h*, const char*, const char*), const char* usage) {
  return {2, 2, usage, [f](const Appliance& a, const Words& w) {
            a.check(f(a.handle(), own_name(a, w[1]).c_str(), destination(a, w[2]).c_str()), what(w));
            return std::string();
          }};
}
/// Calls on a partition by number, with one more word.
Verb partition(int (*f)(guestfs_h*, const char*, int, const char*), const char* usage) {
  return {3, 3, usage, [f](const Appliance& a, const Words& w) {
            a.check(f(a.handle(), w[1].c_str(), integer<int>(w[2]), w[3].c_str()), what(w));
            return std::string();
          }};
}
/// Calls that answer a string.
Verb answer1(char* (*f)(guestfs_h*, const char*), const char* usage) {
  return {1, 1, usage,
          [f](const Appliance& a, const Words& w) { return a.text(f(a.handle(), w[1].c_str()), what(w)); }};
}
/// Calls that answer a list, one item to a line.
std::string lines(const std::vector<std::string>& items) {
  std::string all;
  for (const std::string& item : items) all += item + "\n";
  return all;
}
Verb listing(char** (*f)(guestfs_h*), const char* usage) {
  return {0, 0, usage, [f](const Appliance& a, const Words& w) { return lines(a.list(f(a.handle()), what(w))); }};
}

std::string part_add(const Appliance& a, const Words& w) {
  a.check(guestfs_part_add(a.handle(), w[1].c_str(), w[2].c_str(), integer<std::int64_t>(w[3]),
                           integer<std::int64_t>(w[4])),
          what(w));
  return {};
}

std::string part_del(const Appliance& a, const Words& w) {
  a.check(guestfs_part_del(a.handle(), w[1].c_str(), integer<int>(w[2])), what(w));
  return {};
}

std::string part_resize(const Appliance& a, const Words& w) {
  a.check(guestfs_part_resize(a.handle(), w[1].c_str(), integer<int>(w[2]), integer<std::int64_t>(w[3])), what(w));
  return {};
}

std::string part_set_bootable(const Appliance& a, const Words& w) {
  a.check(guestfs_part_set_bootable(a.handle(), w[1].c_str(), integer<int>(w[2]), w[3] == "true"), what(w));
  return {};
}

std::string part_set_mbr_id(const Appliance& a, const Words& w) {
  a.check(guestfs_part_set_mbr_id(a.handle(), w[1].c_str(), integer<int>(w[2]), integer<int>(w[3])), what(w));
  return {};
}

/// "number start end" in bytes, one partition to a line. `end` is the last byte.
std::string part_list(const Appliance& a, const Words& w) {
  struct guestfs_partition_list* found = guestfs_part_list(a.handle(), w[1].c_str());
  if (found == nullptr) a.fail(what(w));
  std::string all;
  for (std::uint32_t i = 0; i < found->len; ++i)
    all += fmt::format("{} {} {}\n", found->val[i].part_num, found->val[i].part_start, found->val[i].part_end);
  guestfs_free_partition_list(found);
  return all;
}

/// mkfs TYPE DEVICE [label:TEXT] [features:TEXT] [blocksize:N]
std::string mkfs(const Appliance& a, const Words& w) {
  struct guestfs_mkfs_opts_argv options {};
  for (std::size_t i = 3; i < w.size(); ++i) {
    if (w[i].starts_with("label:")) {
      options.bitmask |= GUESTFS_MKFS_OPTS_LABEL_BITMASK;
      options.label = w[i].c_str() + 6;
    } else if (w[i].starts_with("features:")) {
      options.bitmask |= GUESTFS_MKFS_OPTS_FEATURES_BITMASK;
      options.features = w[i].c_str() + 9;
    } else if (w[i].starts_with("blocksize:")) {
      options.bitmask |= GUESTFS_MKFS_OPTS_BLOCKSIZE_BITMASK;
      options.blocksize = integer<int>(w[i].substr(10));
    } else {
      throw Error("mkfs does not know " + printable(w[i], 64));
    }
  }
  a.check(guestfs_mkfs_opts_argv(a.handle(), w[1].c_str(), w[2].c_str(), &options), what(w));
  return {};
}

std::string tar_in(const Appliance& a, const Words& w) {
  struct guestfs_tar_in_opts_argv options {};
  if (w.size() > 3) {
    options.bitmask = GUESTFS_TAR_IN_OPTS_COMPRESS_BITMASK;
    options.compress = w[3].c_str();
  }
  a.check(guestfs_tar_in_opts_argv(a.handle(), w[1].c_str(), real_path(a, w[2]).c_str(), &options), what(w));
  return {};
}

std::string tune_uuid(const Appliance& a, const Words& w) {
  a.check(guestfs_set_uuid(a.handle(), w[1].c_str(), w[2].c_str()), what(w));
  return {};
}

std::string e2fsck(const Appliance& a, const Words& w) {
  const struct guestfs_e2fsck_argv options { GUESTFS_E2FSCK_CORRECT_BITMASK, 1, 0 };
  a.check(guestfs_e2fsck_argv(a.handle(), w[1].c_str(), &options), what(w));
  return {};
}

std::string xfs_grow(const Appliance& a, const Words& w) {
  const struct guestfs_xfs_growfs_argv options { GUESTFS_XFS_GROWFS_DATASEC_BITMASK, 1, 0, 0, 0, 0, 0, 0, 0 };
  a.check(guestfs_xfs_growfs_argv(a.handle(), w[1].c_str(), &options), what(w));
  return {};
}

std::string btrfs_grow(const Appliance& a, const Words& w) {
  const struct guestfs_btrfs_filesystem_resize_argv whole {};
  a.check(guestfs_btrfs_filesystem_resize_argv(a.handle(), w[1].c_str(), &whole), what(w));
  return {};
}

std::string lv_grow(const Appliance& a, const Words& w) {
  a.check(guestfs_lvresize_free(a.handle(), w[1].c_str(), integer<int>(w[2])), what(w));
  return {};
}

/// Makes the free space of a mounted file system read as zeros, down to the single block. A discard would not: the
/// layer's qcow2 ignores one of less than a cluster (64 KiB), and what was deleted could still be read. So the kernel
/// is told to trim by writing zeros (WRITE SAME with UNMAP), which qcow2 carries out to the byte. (Filling the disk
/// with a file of zeros would not do either: ext4 keeps 2 % from everybody.) It must be told while the device is open,
/// because Linux 6.1 forgets it when the device is opened anew.
std::string trim(const Appliance& a, const Words& w) {
  a.check(guestfs_sync(a.handle()), what(w));  // ext4 gives blocks free when their transaction is written
  std::string command =
      "for f in /sys/class/scsi_disk/*/provisioning_mode; do echo writesame_16 >$f; grep -qx writesame_16 $f || exit "
      "1; "
      "done";
  std::array<char*, 2> words{command.data(), nullptr};
  a.text(guestfs_debug(a.handle(), "sh", words.data()), what(w));
  const struct guestfs_fstrim_argv everything {};
  a.check(guestfs_fstrim_argv(a.handle(), w[1].c_str(), &everything), what(w));
  return {};
}

std::string size64(const Appliance& a, const Words& w) {
  return std::to_string(a.number(guestfs_blockdev_getsize64(a.handle(), w[1].c_str()), what(w)));
}

std::string part_to_dev(const Appliance& a, const Words& w) {
  return a.text(guestfs_part_to_dev(a.handle(), w[1].c_str()), what(w));
}

std::string part_to_partnum(const Appliance& a, const Words& w) {
  return std::to_string(a.number(guestfs_part_to_partnum(a.handle(), w[1].c_str()), what(w)));
}

/// "mount point device" of what is mounted, one to a line, "/" first.
std::string mountpoints(const Appliance& a, const Words& w) {
  const std::vector<std::string> pairs = a.list(guestfs_mountpoints(a.handle()), what(w));
  std::map<std::string, std::string> sorted;
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) sorted.emplace(pairs[i + 1], pairs[i]);
  std::string all;
  for (const auto& [point, device] : sorted) all += point + " " + device + "\n";
  return all;
}

/// size, mode, uid, gid of what the name itself is (a link is not followed).
std::string lstat(const Appliance& a, const Words& w) {
  struct guestfs_statns* found = guestfs_lstatns(a.handle(), w[1].c_str());
  if (found == nullptr) a.fail(what(w));
  std::string all = fmt::format("{} {:o} {} {}", found->st_size, found->st_mode, found->st_uid, found->st_gid);
  guestfs_free_statns(found);
  return all;
}

/// Unlike Guest::chown(), the owner of a link itself.
std::string lchown(const Appliance& a, const Words& w) {
  a.check(guestfs_lchown(a.handle(), integer<int>(w[1]), integer<int>(w[2]), w[3].c_str()), what(w));
  return {};
}

/// Bytes used by a file or a tree.
std::string usage(const Appliance& a, const Words& w) {
  return std::to_string(a.number(guestfs_du(a.handle(), own_name(a, w[1]).c_str()), what(w)) * 1024);
}

/// Everything below a folder, names relative to it.
std::string find(const Appliance& a, const Words& w) {
  return lines(a.list(guestfs_find(a.handle(), real_path(a, w[1]).c_str()), what(w)));
}

using Table = std::map<std::string, Verb, std::less<>>;

void add_partitions(Table& t) {
  t["part-init"] = strings2(guestfs_part_init, "part-init DEVICE gpt|mbr");
  t["part-add"] = {4, 4, "part-add DEVICE primary|logical|extended FIRST-SECTOR LAST-SECTOR", part_add};
  t["part-del"] = {2, 2, "part-del DEVICE NUMBER", part_del};
  t["part-resize"] = {3, 3, "part-resize DEVICE NUMBER LAST-SECTOR", part_resize};
  t["part-set-bootable"] = {3, 3, "part-set-bootable DEVICE NUMBER true|false", part_set_bootable};
  t["part-set-mbr-id"] = {3, 3, "part-set-mbr-id DEVICE NUMBER ID", part_set_mbr_id};
  t["part-set-gpt-type"] = partition(guestfs_part_set_gpt_type, "part-set-gpt-type DEVICE NUMBER GUID");
  t["part-set-gpt-guid"] = partition(guestfs_part_set_gpt_guid, "part-set-gpt-guid DEVICE NUMBER GUID");
  t["part-set-name"] = partition(guestfs_part_set_name, "part-set-name DEVICE NUMBER NAME");
  t["part-set-disk-guid"] = strings2(guestfs_part_set_disk_guid, "part-set-disk-guid DEVICE GUID");
  t["part-expand-gpt"] = strings1(guestfs_part_expand_gpt, "part-expand-gpt DEVICE");
  t["part-get-parttype"] = answer1(guestfs_part_get_parttype, "part-get-parttype DEVICE");
  t["part-list"] = {1, 1, "part-list DEVICE", part_list};
  t["part-to-dev"] = {1, 1, "part-to-dev PARTITION", part_to_dev};
  t["part-to-partnum"] = {1, 1, "part-to-partnum PARTITION", part_to_partnum};
  t["blockdev-getsize64"] = {1, 1, "blockdev-getsize64 DEVICE", size64};
  t["blockdev-rereadpt"] = strings1(guestfs_blockdev_rereadpt, "blockdev-rereadpt DEVICE");
  t["list-devices"] = listing(guestfs_list_devices, "list-devices");
  t["list-partitions"] = listing(guestfs_list_partitions, "list-partitions");
}

void add_file_systems(Table& t) {
  t["mkfs"] = {2, 5, "mkfs TYPE DEVICE [label:TEXT] [features:TEXT] [blocksize:N]", mkfs};
  t["mkswap"] = {1, 1, "mkswap DEVICE", [](const Appliance& a, const Words& w) {
                   const struct guestfs_mkswap_opts_argv plain {};
                   a.check(guestfs_mkswap_opts_argv(a.handle(), w[1].c_str(), &plain), what(w));
                   return std::string();
                 }};
  t["set-label"] = strings2(guestfs_set_label, "set-label DEVICE TEXT");
  t["set-uuid"] = {2, 2, "set-uuid DEVICE UUID", tune_uuid};
  t["vfs-type"] = answer1(guestfs_vfs_type, "vfs-type DEVICE");
  t["vfs-uuid"] = answer1(guestfs_vfs_uuid, "vfs-uuid DEVICE");
  t["vfs-label"] = answer1(guestfs_vfs_label, "vfs-label DEVICE");
  t["resize2fs"] = strings1(guestfs_resize2fs, "resize2fs DEVICE");
  t["e2fsck"] = {1, 1, "e2fsck DEVICE (repairs)", e2fsck};
  t["xfs-growfs"] = {1, 1, "xfs-growfs MOUNT-POINT", xfs_grow};
  t["btrfs-filesystem-resize"] = {1, 1, "btrfs-filesystem-resize MOUNT-POINT", btrfs_grow};
  t["zero"] = strings1(guestfs_zero, "zero DEVICE");
  t["sync"] = {0, 0, "sync", [](const Appliance& a, const Words& w) {
                 a.check(guestfs_sync(a.handle()), what(w));
                 return std::string();
               }};
}

void add_volumes(Table& t) {
  t["pvresize"] = strings1(guestfs_pvresize, "pvresize DEVICE");
  t["lvresize-free"] = {2, 2, "lvresize-free VOLUME PERCENT", lv_grow};
  t["lvs"] = listing(guestfs_lvs, "lvs");
  t["pvs"] = listing(guestfs_pvs, "pvs");
  t["is-lv"] = {1, 1, "is-lv DEVICE", [](const Appliance& a, const Words& w) {
                  return std::string(a.truth(guestfs_is_lv(a.handle(), w[1].c_str()), what(w)) ? "true" : "false");
                }};
}

const Table& bare() {
  static const Table table = [] {
    Table t;
    add_partitions(t);
    add_file_systems(t);
    add_volumes(t);
    return t;
  }();
  return table;
}

/// What works on mounted file systems only.
const Table& mounted() {
  static const Table table{
      {"tar-in", {2, 3, "tar-in FILE FOLDER [gzip|xz|zstd]", tar_in}},
      {"mountpoints", {0, 0, "mountpoints", mountpoints}},
      {"lstat", {1, 1, "lstat PATH", lstat}},
      {"lchown", {3, 3, "lchown UID GID PATH", lchown}},
      {"du", {1, 1, "du PATH", usage}},
      {"find", {1, 1, "find FOLDER", find}},
      {"fstrim", {1, 1, "fstrim MOUNT-POINT", trim}},
      {"zero-free-space", strings1(guestfs_zero_free_space, "zero-free-space FOLDER")},
      {"cp-a", names2(guestfs_cp_a, "cp-a FROM TO")},
      {"mv", names2(guestfs_mv, "mv FROM TO")},
      {"readlink", answer1(guestfs_readlink, "readlink PATH")},
  };
  return table;
}

/// What changes which file systems are mounted.
const Table& mounting() {
  static const Table table{
      {"mount", strings2(guestfs_mount, "mount DEVICE MOUNT-POINT")},
      {"mount-ro", strings2(guestfs_mount_ro, "mount-ro DEVICE MOUNT-POINT")},
      {"mount-options", strings3(guestfs_mount_options, "mount-options OPTIONS DEVICE MOUNT-POINT")},
      {"mkmountpoint", strings1(guestfs_mkmountpoint, "mkmountpoint PATH")},
  };
  return table;
}

const Verb* find_verb(const Table& table, const Words& words) {
  const auto it = table.find(words.at(0));
  if (it == table.end()) return nullptr;
  const std::size_t given = words.size() - 1;
  if (given < it->second.least || given > it->second.most)
    throw Error(fmt::format("\"{}\" was called with {} words", words[0], given),
                std::string("it is called as: ") + it->second.usage);
  return &it->second;
}

}  // namespace

std::string Session::call(const std::vector<std::string>& words) {
  if (words.empty()) throw Error("a call of the appliance without a name");
  Appliance& up = state_->running();
  if (words[0] == "umount-all" && words.size() == 1) {
    state_->flush();
    return {};
  }
  if (words[0] == "mount-os") {  // [read-only]: what was found, also after mounts by hand, without a new inspection
    state_->flush();
    if (!state_->root) state_->inspect();
    state_->mount_os(words.size() > 1 && words[1] == "read-only");
    return {};
  }
  if (const Verb* verb = find_verb(mounting(), words)) {
    if (state_->mounted == State::Mounted::root) state_->flush();
    std::string reply = verb->run(up, words);
    state_->mounted = State::Mounted::by_hand;
    // What was found before may not hold for what is made now.
    state_->inspected = state_->inspected && words[0] == "mount-ro";
    return reply;
  }
  if (const Verb* verb = find_verb(mounted(), words)) {
    state_->files();
    return verb->run(up, words);
  }
  if (const Verb* verb = find_verb(bare(), words)) return verb->run(up, words);
  throw Error("the appliance has no call \"" + printable(words[0], 64) + "\"",
              "the calls that stages may use are listed in core/guest/calls.cpp");
}

}  // namespace kiln

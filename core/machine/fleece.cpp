#include "machine/fleece.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "disk/overlay.h"
#include "machine/memory_state.h"
#include "machine/point.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
constexpr char prefix[] = "kiln-fleece-", bitmap_prefix[] = "kiln-";  // as next_capture_id() makes
constexpr std::uint64_t granularity = 65536;                          // chunk_size
constexpr std::size_t most_drives = 64;

std::string text(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

bool flag(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

const json& member(const json& object, const char* name) {
  static const json none = json::object();
  const auto it = object.find(name);
  return it != object.end() ? *it : none;
}

/// Of the device that a drive is in. QEMU gives the id alone of one whose backend has no path of its own (scsi-hd).
std::string device_path(const json& block) {
  const std::string qdev = text(block, "qdev");
  return qdev.empty() || qdev.starts_with('/') ? qdev : "/machine/peripheral/" + qdev;
}

std::string bus_of(Qmp& qmp, const std::string& qdev) {
  if (qdev.empty()) return "";
  std::string type;
  try {
    const json answer = qmp.execute("qom-get", {{"path", qdev}, {"property", "type"}});
    type = answer.is_string() ? answer.get<std::string>() : "";
  } catch (const Error&) {
    return "";  // none that tells
  }
  if (type.starts_with("virtio-blk")) return "virtio";
  if (type.starts_with("scsi-")) return "scsi";
  if (type.starts_with("ide-")) return "sata";
  return type;
}

std::vector<DriveBitmap> bitmaps_of(const json& inserted) {
  std::vector<DriveBitmap> ours;
  for (const json& bitmap : member(inserted, "dirty-bitmaps")) {
    const std::string name = text(bitmap, "name");
    if (!name.starts_with(bitmap_prefix)) continue;
    ours.push_back({name, flag(bitmap, "recording"), !flag(bitmap, "inconsistent") && !flag(bitmap, "busy")});
  }
  std::ranges::sort(ours, {}, &DriveBitmap::name);
  return ours;
}

/// "disk0" of "/machine/peripheral/disk0/virtio-backend"; else QEMU's name for the drive, or its node's.
std::string name_of(const json& block, const std::string& node) {
  constexpr std::string_view with_id = "/machine/peripheral/";
  const std::string qdev = device_path(block);
  if (qdev.starts_with(with_id)) return qdev.substr(with_id.size(), qdev.find('/', with_id.size()) - with_id.size());
  const std::string device = text(block, "device");
  return device.empty() ? node : device;
}

std::optional<GuestDrive> drive_of(Qmp& qmp, const json& block) {
  const json& inserted = member(block, "inserted");
  const std::string node = text(inserted, "node-name"), qdev = device_path(block);
  if (node.empty() || flag(inserted, "ro")) return std::nullopt;
  const json& image = member(inserted, "image");
  GuestDrive drive{
      .name = name_of(block, node), .node = node, .format = text(inserted, "drv"), .bus = bus_of(qmp, qdev)};
  // The firmware's variables are in a flash chip, which is a block device as well.
  drive.is_flash = qdev.find("flash") != std::string::npos || text(block, "device").starts_with("pflash");
  drive.size = image.value("virtual-size", std::uint64_t{0});
  if (inserted.value("backing_file_depth", 0) == 1) drive.below = text(member(image, "backing-image"), "filename");
  drive.bitmaps = bitmaps_of(inserted);
  if (drive.size == 0 || drive.size % 512 != 0)
    throw Error("qemu says that drive \"" + drive.name + "\" has " + std::to_string(drive.size) + " bytes");
  return drive;
}

std::string node_of(std::size_t drive) {
  return prefix + std::to_string(drive);
}

std::string next_bitmap(const std::vector<GuestDrive>& drives) {
  std::vector<std::string> names;
  for (const GuestDrive& drive : drives)
    for (const DriveBitmap& bitmap : drive.bitmaps) names.push_back(bitmap.name);
  return next_capture_id(names);
}

/// What is being taken apart may be gone already, in part.
void try_to(Qmp& qmp, const char* command, const json& arguments) {
  try {
    qmp.execute(command, arguments);
  } catch (const Error&) {
  }
}

template <class Get>
bool gone_within(Duration limit, const Get& is_there) {
  for (auto left = limit; is_there(); left -= 10ms) {
    if (left <= 0ms) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

bool any_with(Qmp& qmp, const char* query, const char* key) {
  const json all = qmp.execute(query);
  return std::ranges::any_of(all, [&](const json& one) { return text(one, key).starts_with(prefix); });
}

std::vector<std::string> our_nodes(Qmp& qmp) {
  std::vector<std::string> ours;
  for (const json& node : qmp.execute("query-named-block-nodes", {{"flat", true}}))
    if (text(node, "node-name").starts_with(prefix)) ours.push_back(text(node, "node-name"));
  return ours;
}

/// Returns how many exports are somebody else's.
std::size_t end_exports(Qmp& qmp) {
  std::size_t others = 0;
  for (const json& one : qmp.execute("query-block-exports")) {
    const std::string id = text(one, "id");
    if (!id.starts_with(prefix))
      ++others;
    else
      try_to(qmp, "block-export-del", {{"id", id}, {"mode", "hard"}});
  }
  gone_within(5s, [&] { return any_with(qmp, "query-block-exports", "id"); });
  return others;
}

/// Returns whether there are any still. A job that saves memory waits, when it has ended, until somebody has seen it.
bool end_jobs(Qmp& qmp) {
  bool any = false;
  for (const json& job : qmp.execute("query-jobs")) {
    const std::string id = text(job, "id");
    if (!id.starts_with(prefix)) continue;
    any = true;
    try_to(qmp, text(job, "status") == "concluded" ? "job-dismiss" : "job-cancel", {{"id", id}});
  }
  return any;
}

}  // namespace

std::vector<GuestDrive> writable_drives(Qmp& qmp) {
  std::vector<GuestDrive> drives;
  for (const json& block : qmp.execute("query-block"))
    if (auto drive = drive_of(qmp, block)) drives.push_back(std::move(*drive));
  std::stable_partition(drives.begin(), drives.end(), [](const GuestDrive& drive) { return !drive.is_flash; });
  if (drives.empty() || drives.front().is_flash)
    throw Error("that machine has no disk that it can write to", "there is nothing to capture");
  if (drives.size() > most_drives) throw Error("that machine has more than 64 disks");
  return drives;
}

bool clear_fleeces(Qmp& qmp, bool serves) {
  const std::vector<std::string> ours = our_nodes(qmp);
  if (ours.empty() && !serves) return true;
  // While we export something the server is ours: QEMU has one, and its start fails when it runs.
  const bool is_ours = serves || any_with(qmp, "query-block-exports", "id");
  if (end_exports(qmp) == 0 && is_ours) try_to(qmp, "nbd-server-stop", json::object());
  gone_within(10s, [&] { return end_jobs(qmp); });
  for (const std::string& node : ours) try_to(qmp, "blockdev-del", {{"node-name", node}});
  return our_nodes(qmp).empty();
}

std::string Fleece::export_name(std::size_t drive) {
  return node_of(drive);
}

int clear_when_left(const std::filesystem::path& monitor, int word) {
  ignore_ends_of_sessions();
  bool paused = false, serves = false;
  for (char byte = 0; ::read(word, &byte, 1) == 1;) {
    if (byte == 'd') return 0;
    if (byte == 'p' || byte == 'r') paused = byte == 'p';
    if (byte == 's' || byte == 'n') serves = byte == 's';
  }
  // A QEMU that hangs, or saves memory, hears nobody: as long as it is there it may come back.
  for (; is_listened_to(monitor); std::this_thread::sleep_for(1s)) try {
      Qmp qmp = Qmp::connect(monitor, 60s);
      if (paused) qmp.execute("cont", 60s);
      paused = false;
      if (clear_fleeces(qmp, serves)) return 0;
    } catch (const Error&) {
    }
  return 1;
}

Fleece::Fleece(Qmp qmp, const std::filesystem::path& monitor, std::vector<GuestDrive> drives,
               const std::filesystem::path& folder)
    : keeper_(start_keeper({"clear", std::filesystem::absolute(monitor).string()})),
      qmp_(std::move(qmp)),
      drives_(std::move(drives)),
      bitmap_(next_bitmap(drives_)) {
  try {
    for (std::size_t i = 0; i < drives_.size(); ++i) prepare(i, folder);
  } catch (...) {
    clear_fleeces(qmp_);
    throw;
  }
}

Fleece::~Fleece() {
  try {
    if (paused_) resume();
    if (clear_fleeces(qmp_, serves_)) tell_keeper('d');
  } catch (const std::exception&) {
    // QEMU is gone, or hangs: the keeper goes on trying
  }
}

void Fleece::prepare(std::size_t drive, const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / (node_of(drive) + ".qcow2");
  std::filesystem::remove(file);
  create_empty(file, drives_[drive].size);
  const json node{{"driver", "qcow2"},
                  {"node-name", node_of(drive)},
                  {"backing", drives_[drive].node},
                  {"discard", "unmap"},
                  {"cache", {{"no-flush", true}}},
                  {"file", {{"driver", "file"}, {"filename", file.string()}, {"discard", "unmap"}}}};
  try {
    qmp_.execute("blockdev-add", node);
  } catch (const Error& error) {
    std::filesystem::remove(file);
    throw Error(error.what(), "can that qemu write to " + folder.string() + "? choose another folder with --scratch");
  }
  std::filesystem::remove(file);  // QEMU has it open: nothing is left of it, whatever happens
}

void Fleece::remove_bitmaps(std::size_t drive, const std::vector<std::string>& names) {
  std::vector<DriveBitmap>& bitmaps = drives_.at(drive).bitmaps;
  for (const std::string& name : names)
    try_to(qmp_, "block-dirty-bitmap-remove", {{"node", drives_[drive].node}, {"name", name}});
  std::erase_if(bitmaps, [&](const DriveBitmap& b) { return std::ranges::find(names, b.name) != names.end(); });
}

/// It reads for as long as this lives.
void Fleece::tell_keeper(char byte) {
  (void)!::write(keeper_.to.get(), &byte, 1);
}

void Fleece::pause() {
  tell_keeper('p');
  paused_ = true;
  qmp_.execute("stop", 60s);
}

void Fleece::resume() {
  qmp_.execute("cont");
  paused_ = false;
  tell_keeper('r');
}

File Fleece::save_memory(const std::filesystem::path& folder) {
  const std::string node = prefix + std::string("memory");
  return kiln::save_memory(qmp_, folder / (node + ".qcow2"), node);
}

void Fleece::take() {
  json actions = json::array();
  const auto add = [&](const char* type, json data) { actions.push_back({{"type", type}, {"data", std::move(data)}}); };
  for (std::size_t i = 0; i < drives_.size(); ++i) {
    const GuestDrive& drive = drives_[i];
    for (const DriveBitmap& old : drive.bitmaps)
      if (old.recording && old.sound) add("block-dirty-bitmap-disable", {{"node", drive.node}, {"name", old.name}});
    add("block-dirty-bitmap-add", {{"node", drive.node},
                                   {"name", bitmap_},
                                   {"granularity", granularity},
                                   {"persistent", drive.format == "qcow2"}});
    add("blockdev-backup", {{"job-id", node_of(i)}, {"device", drive.node}, {"target", node_of(i)}, {"sync", "none"}});
  }
  qmp_.execute("transaction", {{"actions", actions}}, 60s);
}

void Fleece::serve(const std::string& socket, const std::vector<std::vector<std::string>>& bitmaps) {
  const json address{{"type", "unix"}, {"data", {{"path", socket}}}};
  tell_keeper('s');
  serves_ = true;
  try {
    qmp_.execute("nbd-server-start", {{"addr", address}});
  } catch (const Error& error) {
    if (!is_cancelled(error)) {
      tell_keeper('n');
      serves_ = false;
    }
    throw Error(error.what(), "when something else uses the NBD server of that qemu, wait until it is done");
  }
  for (std::size_t i = 0; i < drives_.size(); ++i)
    qmp_.execute("block-export-add", {{"type", "nbd"},
                                      {"id", node_of(i)},
                                      {"node-name", node_of(i)},
                                      {"name", export_name(i)},
                                      {"writable", false},
                                      {"allocation-depth", true},
                                      {"bitmaps", bitmaps.at(i)}});
}

}  // namespace kiln

#include "machine/capture.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <optional>
#include <utility>

#include <kiln/text.h>

#include <nlohmann/json.hpp>

#include "machine/fleece.h"
#include "machine/freeze.h"
#include "machine/guest_access.h"
#include "machine/guest_first.h"
#include "machine/memory_state.h"
#include "machine/point.h"
#include "machine/qemu.h"
#include "machine/space_watch.h"
#include "nbd/nbd_reader.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr auto agent_patience = 5s;
Qmp connect(const CaptureTarget& target, std::stop_token stop) {
  try {
    return Qmp::connect(target.qmp, 5s, std::move(stop));
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    throw Error("cannot capture " + target.name + ": " + error.what(),
                "is somebody else capturing it, or connected to its monitor?", {target.qmp.string()});
  }
}

/// The network card's model as kiln calls it, "virtio" or QEMU's name of it.
std::string nic_of(Qmp& qmp) {
  for (const char* place : {"/machine/peripheral", "/machine/peripheral-anon"})
    for (const json& child : qmp.execute("qom-list", {{"path", place}})) {
      const std::string type = child.value("type", "");
      if (type.starts_with("child<virtio-net")) return "virtio";
      for (const char* model : {"e1000e", "e1000", "rtl8139", "vmxnet3"})
        if (type == "child<" + std::string(model) + ">") return model;
    }
  return "";
}

bool has_uefi(Qmp& qmp) {
  const json blocks = qmp.execute("query-block");
  return std::ranges::any_of(blocks, [](const json& block) {
    return block.value("qdev", "").find("flash") != std::string::npos ||
           block.value("device", "").starts_with("pflash");
  });
}

Facts facts_of(Qmp& qmp, const GuestDrive& disk) {
  Facts facts;
  facts["machine.cpus"] = std::to_string(qmp.execute("query-cpus-fast").size());
  facts["machine.memory"] =
      std::to_string(qmp.execute("query-memory-size-summary").value("base-memory", std::uint64_t{0}));
  if (!disk.bus.empty()) facts["machine.disk_bus"] = printable(disk.bus, 64);
  if (const std::string nic = nic_of(qmp); !nic.empty()) facts["machine.nic"] = nic;
  facts["boot.firmware"] = has_uefi(qmp) ? "uefi" : "bios";
  facts["capture.drive"] = printable(disk.name, 128);
  facts["capture.format"] = printable(disk.format, 32);
  return facts;
}

/// The agent hears one client at a time. Who works in the guest for long is not waited for.
class AgentTurn {
 public:
  AgentTurn(const CaptureTarget& target, const std::stop_token& stop) {
    if (target.agent_turn.empty()) return;
    try {
      lock_ = lock_agent(target.agent_turn, agent_patience, stop);
    } catch (const Error& error) {
      if (is_cancelled(error)) throw;
      busy_ = error.what();
    }
  }
  const std::string& busy() const { return busy_; }  ///< why it is not ours; empty: it is

 private:
  std::optional<FileLock> lock_;
  std::string busy_;
};

/// Whether a program in the guest has the port open that the agent's channel leads to. QEMU knows it of channels whose
/// devices can tell.
bool has_listener(Qmp& qmp, const CaptureTarget& target) {
  const json channels = qmp.execute("query-chardev");
  const auto leads_there = [&](const json& one) {
    const std::string to = one.value("filename", "");
    return to.find("unix:") != std::string::npos && to.find(target.agent.filename().string()) != std::string::npos;
  };
  const auto channel = std::ranges::find_if(channels, leads_there);
  return channel == channels.end() || channel->value("frontend-open", true);
}

/// Why the guest cannot be asked to come to rest; empty: it can.
std::string why_not_asked(Qmp& qmp, const CaptureTarget& target, bool runs) {
  if (!runs) return "the machine is paused, so its guest could not be asked to come to rest";
  if (target.agent.empty()) return "there is no channel to a guest agent";
  return has_listener(qmp, target) ? "" : "no guest agent answers";
}

Point point_of(Fleece& fleece, const CaptureTarget& target, const CaptureSpec& spec, const std::string& why_not,
               const std::stop_token& stop) {
  const PointTaker taker{.spec = spec, .machine = target.name, .take = [&] { fleece.take(); }};
  if (!why_not.empty()) return taker.without_freeze(why_not);
  const AgentTurn turn(target, stop);
  if (!turn.busy().empty()) return taker.without_freeze(turn.busy());
  return taker.with(Freeze::begin(target.agent, agent_patience, spec.freeze_limit, stop));
}

/// With the memory, which was saved while the machine stood still, comes all that the guest has not written yet, so
/// nobody has to be asked to write it.
struct StillMemory {
  std::optional<File> file = {};
  Duration still{};
};

/// A disk that fills up meanwhile would stop other machines too.
void require_room_for_memory(const CaptureTarget& target, std::uint64_t memory) {
  constexpr std::uint64_t spare = 256u << 20;
  const std::uint64_t free = std::filesystem::space(target.scratch).available;
  if (free < memory + spare)
    throw Error("the memory of " + target.name + " may take " + format_bytes(memory) + ", and " + format_bytes(free) +
                    " are free",
                "free some space, or choose another folder with --scratch", {target.scratch.string()});
}

Point still_point(Fleece& fleece, const CaptureTarget& target, const CaptureSpec& spec, bool runs,
                  StillMemory& memory) {
  std::optional<FileLock> turn;  // kiln stop does not take the silence for a QEMU that hangs
  if (!target.agent_turn.empty()) turn = FileLock::exclusive(target.agent_turn / machine_file::memory_lock);
  const auto begin = Clock::now();
  const PointTaker taker{.spec = spec, .machine = target.name, .take = [&] {
                           if (runs) fleece.pause();
                           fleece.take();
                           memory.file = fleece.save_memory(target.scratch);
                           if (runs) fleece.resume();
                         }};
  const Point point = taker.without_freeze("");
  if (runs) memory.still = std::chrono::ceil<Duration>(Clock::now() - begin);
  return point;
}

/// The bitmaps that together tell what changed since a manifest, and the manifest.
struct Changes {
  std::optional<Manifest> since;
  std::vector<std::string> bitmaps;
};

/// Every capture begins a bitmap and stops the one before. The newest whose capture became an image counts, with all
/// after it; what is older is of no use any longer, and one that is not sound makes all of them useless.
Changes changes_of(const GuestDrive& drive, const CaptureTarget& target) {
  constexpr std::size_t most = 16;  // contexts that an export can have are limited too
  Changes changes;
  for (auto it = drive.bitmaps.rbegin(); it != drive.bitmaps.rend(); ++it) {
    if (!it->sound || changes.bitmaps.size() == most || it->recording != (it == drive.bitmaps.rbegin())) return {};
    changes.bitmaps.push_back(it->name);
    changes.since = target.since ? target.since(it->name, drive.name) : std::nullopt;
    if (changes.since) return changes;
  }
  return {};
}

void forget_others(Fleece& fleece, std::size_t drive, const Changes& changes) {
  std::vector<std::string> useless;
  for (const DriveBitmap& bitmap : fleece.drives()[drive].bitmaps)
    if (std::ranges::find(changes.bitmaps, bitmap.name) == changes.bitmaps.end()) useless.push_back(bitmap.name);
  fleece.remove_bitmaps(drive, useless);
}

/// Needed by the readers of one capture.
struct Serving {
  Serving(Qmp qmp, std::vector<GuestDrive> drives, const CaptureTarget& target, bool guest_is_busy)
      : socket(target.socket),
        guest_first(guest_is_busy),
        space(target.scratch),
        fleece(std::move(qmp), target.qmp, std::move(drives), target.scratch) {}
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;
  ~Serving() {
    std::error_code ignored;
    std::filesystem::remove(socket, ignored);
    std::filesystem::remove(scratch, ignored);  // when it is empty now
  }
  const std::filesystem::path socket, scratch;
  GuestFirst guest_first;
  SpaceWatch space;
  Fleece fleece;
};

std::shared_ptr<const BlockReader> open_drive(const std::shared_ptr<Serving>& serving, std::size_t i, Changes changes,
                                              const CaptureTarget& target, const std::stop_token& stop) {
  const GuestDrive& drive = serving->fleece.drives()[i];
  NbdExport from{.socket = target.socket, .name = Fleece::export_name(i), .keep = serving, .stop = stop};
  from.before_read = [watch = serving.get()] { watch->space(); };
  from.known = std::move(changes.since);
  from.bitmaps = std::move(changes.bitmaps);
  if (!from.known) {
    from.known = content_of(drive.below, target.bases);
    if (from.known) from.depth = 3;  // fleece, overlay, base
  }
  return open_nbd(std::move(from));
}

}  // namespace

std::optional<Manifest> content_of(const std::filesystem::path& file, const std::vector<KnownBase>& bases) {
  std::error_code other;
  for (const KnownBase& base : bases)
    if (!file.empty() && std::filesystem::equivalent(file, base.file, other)) return base.content;
  return std::nullopt;
}

std::string part_name(const std::string& wanted, const std::vector<CapturedDrive>& others) {
  constexpr std::size_t longest = 100;
  std::string name;
  for (const char c : wanted.substr(0, longest)) {
    const bool fits = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    if (fits && (!name.empty() || (c != '.' && c != '-'))) name += c;
  }
  if (name.empty()) name = "disk";
  const auto taken = [&](const std::string& one) { return std::ranges::count(others, one, &CapturedDrive::name) != 0; };
  if (!taken(name)) return name;
  for (unsigned number = 2;; ++number)
    if (const std::string next = name + "-" + std::to_string(number); !taken(next)) return next;
}

void add_drive(Capture& capture, const std::string& wanted_name, const std::string& device, std::string_view role,
               std::shared_ptr<const BlockReader> disk) {
  const std::string name = part_name(wanted_name, capture.drives);
  if (!role.empty()) capture.facts["capture.part." + name] = printable(device, 128);
  capture.drives.push_back({name, std::string(role), std::move(disk)});
}

namespace {

void add_drives(Capture& capture, const std::shared_ptr<Serving>& serving, std::vector<Changes> changes,
                const CaptureTarget& target, const std::stop_token& stop) {
  capture.facts["capture.read"] = changes.front().since ? "changes" : "all";
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const GuestDrive& drive = serving->fleece.drives()[i];
    const char* role = i == 0 ? "" : drive.is_flash ? part_role::firmware : part_role::data;
    add_drive(capture, drive.is_flash ? "vars" : drive.name, drive.name, role,
              open_drive(serving, i, std::move(changes[i]), target, stop));
  }
}

void add_memory(Capture& capture, StillMemory memory, const std::string& board, bool runs) {
  capture.facts["memory.board"] = board;
  if (runs) capture.facts["memory.still_ms"] = std::to_string(memory.still.count());
  capture.drives.push_back(
      {part_name("memory", capture.drives), part_role::memory, memory_reader(std::move(*memory.file))});
}

}  // namespace

Capture capture_running(const CaptureTarget& target, const CaptureSpec& spec, std::stop_token stop) {
  if (spec.least == Consistency::stopped) require_consistency(spec, target.name, {.warning = "its qemu runs"});
  Qmp qmp = connect(target, stop);
  clear_fleeces(qmp);
  std::vector<GuestDrive> drives = writable_drives(qmp);
  Capture capture{.drives = {}, .facts = facts_of(qmp, drives.front()), .warnings = {}};
  const bool runs = qmp.execute("query-status").value("running", false);
  const std::string why_not = why_not_asked(qmp, target, runs);
  const std::string board = spec.with_memory ? board_of(qmp) : "";

  std::vector<Changes> changes;
  for (const GuestDrive& drive : drives) changes.push_back(changes_of(drive, target));
  std::filesystem::remove(target.socket);
  const bool busy = runs && is_busy(qmp);
  const auto serving = std::make_shared<Serving>(std::move(qmp), std::move(drives), target, busy);
  serving->space();
  if (spec.with_memory) require_room_for_memory(target, std::stoull(capture.facts.at("machine.memory")));
  for (std::size_t i = 0; i < changes.size(); ++i) forget_others(serving->fleece, i, changes[i]);

  StillMemory memory;
  const Point point = spec.with_memory ? still_point(serving->fleece, target, spec, runs, memory)
                                       : point_of(serving->fleece, target, spec, why_not, stop);
  std::vector<std::vector<std::string>> bitmaps;
  for (const Changes& of_drive : changes) bitmaps.push_back(of_drive.bitmaps);
  serving->fleece.serve(target.socket_for_qemu, bitmaps);

  capture.facts["capture.id"] = serving->fleece.bitmap();
  capture.facts["capture.instance"] = target.name;
  describe(point, capture);
  add_drives(capture, serving, std::move(changes), target, stop);
  if (memory.file) add_memory(capture, std::move(memory), board, runs);
  return capture;
}

}  // namespace kiln

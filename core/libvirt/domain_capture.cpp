#include "libvirt/domain_capture.h"

#include <libvirt/virterror.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include <kiln/text.h>

#include "libvirt/domain_backup.h"
#include "libvirt/domain_view.h"
#include "machine/space_watch.h"
#include "machine/stopped_disk.h"
#include "nbd/nbd_reader.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

DomainHandle find_domain(const Connection& connection, const DomainTarget& target) {
  DomainHandle domain(virDomainLookupByName(connection.get(), target.domain.c_str()));
  if (!domain) domain.reset(virDomainLookupByUUIDString(connection.get(), target.domain.c_str()));
  if (domain) return domain;
  if (last_libvirt_error() == VIR_ERR_NO_DOMAIN || last_libvirt_error() == VIR_ERR_INVALID_ARG)
    throw invalid("there is no domain \"" + printable(target.domain, 128) + "\" on " + target.connect,
                  "virsh -c '" + target.connect + "' list --all shows what there is");
  throw libvirt_error("cannot ask " + target.connect + " for its domain");
}

/// What the readers of one capture need.
struct Job {
  Job(std::shared_ptr<Connection> connection, DomainHandle domain, const DomainPlace& place,
      const std::filesystem::path& parent)
      : backup(std::move(connection), std::move(domain), place, parent) {}
  std::vector<std::unique_ptr<SpaceWatch>> watches;
  DomainBackup backup;
};

class ActiveCapture {
 public:
  ActiveCapture(std::shared_ptr<Connection> connection, DomainHandle domain, const DomainTarget& target,
                const CaptureSpec& spec, const std::stop_token& stop)
      : connection_(std::move(connection)),
        domain_(std::move(domain)),
        target_(target),
        spec_(spec),
        stop_(stop),
        view_(view_of(xml_of(domain_.get(), 0))),
        name_(target.name.empty() ? printable(view_.name, 128) : target.name) {}

  Capture run() {
    if (view_.disks.empty()) throw Error(name_ + " has no disk that it can write to", "there is nothing to capture");
    require_nobody_else();
    const int state = state_of(domain_.get());
    paused_ = state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_PMSUSPENDED;
    choose_checkpoints();
    const DomainPlace place{target_.connect, view_.uuid};
    job_ = std::make_shared<Job>(connection_, again(), place, spec_.scratch.empty() ? "/var/tmp" : spec_.scratch);
    plan_disks();
    Capture capture{.drives = {}, .facts = view_.facts, .warnings = {}};
    const Point point = take_point(place);
    add_facts(capture, point);
    for (std::size_t i = 0; i < view_.disks.size(); ++i)
      add_drive(capture, view_.disks[i].target, view_.disks[i].target, i == 0 ? "" : part_role::data, open_disk(i));
    if (vars_) add_drive(capture, "vars", "vars", part_role::firmware, vars_);
    return capture;
  }

 private:
  DomainHandle again() const {
    virDomainRef(domain_.get());
    return DomainHandle(domain_.get());
  }

  void require_nobody_else() const {
    const std::unique_ptr<char, Freed<free>> job(virDomainBackupGetXMLDesc(domain_.get(), 0));
    if (job)
      throw Error("somebody else reads the disks of " + name_ + " already",
                  "wait until that is done, or end it: virsh -c '" + target_.connect + "' domjobabort " + view_.uuid);
  }

  /// The newest whose capture became an image counts, of each disk; nothing but that is of use any longer.
  void choose_checkpoints() {
    const std::vector<std::string> all = checkpoints_of(domain_.get());
    plan_.checkpoint = next_capture_id(all);
    since_.resize(view_.disks.size());
    std::set<std::string> useful;
    for (const DomainDisk& disk : view_.disks) {
      BackupDisk planned{.target = disk.target, .scratch = {}, .noted = disk.format == "qcow2"};
      auto& known = since_[plan_.disks.size()];
      for (auto it = all.rbegin(); planned.noted && !known && it != all.rend(); ++it)
        if ((known = target_.since(*it, disk.target))) planned.since = *it;
      if (known) useful.insert(planned.since);
      plan_.disks.push_back(std::move(planned));
    }
    plan_.untouched = view_.untouched;
    for (const std::string& name : all)
      if (!useful.contains(name)) remove_checkpoint(domain_.get(), name);
  }

  void plan_disks() {
    plan_.socket = job_->backup.socket();
    std::set<std::filesystem::path> folders;
    for (std::size_t i = 0; i < view_.disks.size(); ++i) {
      const DomainDisk& disk = view_.disks[i];
      const bool beside = spec_.scratch.empty() && disk.is_file && !disk.layers.empty();
      plan_.disks[i].scratch = beside ? disk.layers.front().file.string() + "." + plan_.checkpoint
                                      : (job_->backup.folder() / (disk.target + ".scratch")).string();
      folders.insert(plan_.disks[i].scratch.parent_path());
    }
    for (const auto& folder : folders) job_->watches.push_back(std::make_unique<SpaceWatch>(folder));
    for (const auto& watch : job_->watches) (*watch)();
  }

  Point take_point(const DomainPlace& place) {
    const PointTaker taker{.spec = spec_, .machine = name_, .take = [this] { take(); }};
    if (paused_) return taker.without_freeze("the machine is paused, so its guest could not be asked to come to rest");
    if (!view_.has_agent) return taker.without_freeze("there is no channel to a guest agent");
    constexpr Duration longest_search = 40s;  // for a daemon, and an agent that hangs
    return taker.with(
        Freeze::begin(start_domain_freezer(place, spec_.freeze_limit), longest_search + spec_.freeze_limit, stop_));
  }

  void take() {
    lost_notes_ = job_->backup.begin(plan_);
    if (view_.vars.empty()) return;
    try {
      vars_ = read_vars_file(view_.vars);
    } catch (const Error& error) {
      lost_vars_ = error.what();
    }
  }

  void add_facts(Capture& capture, const Point& point) const {
    if (!checkpoint_xml(plan_).empty()) capture.facts["capture.id"] = plan_.checkpoint;
    capture.facts["capture.instance"] = name_;
    capture.facts["capture.drive"] = printable(view_.disks.front().target, 128);
    capture.facts["capture.format"] = printable(view_.disks.front().format, 32);
    capture.facts["capture.read"] = plan_.disks.front().since.empty() ? "all" : "changes";
    describe(point, capture);
    if (!lost_notes_.empty())
      capture.warnings.push_back((plan_.checkpoint.empty()
                                      ? "libvirt keeps no checkpoint, so the next capture reads all: "
                                      : "all was read, because no checkpoint could be used: ") +
                                 lost_notes_);
    if (!lost_vars_.empty())
      capture.warnings.push_back("the variables of the firmware are not in the image: " + lost_vars_);
  }

  std::shared_ptr<const BlockReader> open_disk(std::size_t i) {
    if (::access(plan_.socket.c_str(), W_OK) != 0)
      throw Error("the disks of " + name_ + " are served by a qemu of another user",
                  "run kiln as that user, or as root", {plan_.socket.string()});
    const BackupDisk& disk = plan_.disks[i];
    NbdExport from{.socket = plan_.socket, .name = disk.target, .keep = job_, .stop = stop_};
    from.before_read = [watches = &job_->watches] {
      for (const auto& watch : *watches) (*watch)();
    };
    if (!disk.since.empty()) {
      from.known = std::move(since_[i]);
      from.bitmaps = {DomainBackup::bitmap_of(disk.target)};
    }
    return open_nbd(std::move(from));
  }

  const std::shared_ptr<Connection> connection_;
  const DomainHandle domain_;
  const DomainTarget& target_;
  const CaptureSpec& spec_;
  const std::stop_token stop_;
  const DomainView view_;
  const std::string name_;
  bool paused_ = false;
  BackupPlan plan_;
  std::vector<std::optional<Manifest>> since_;
  std::shared_ptr<Job> job_;
  std::shared_ptr<const BlockReader> vars_;
  std::string lost_notes_, lost_vars_;
};

}  // namespace

bool is_this_host(const std::string& connect) {
  const std::size_t authority = connect.find("://");
  return authority == std::string::npos || connect.compare(authority + 3, 1, "/") == 0;
}

std::string xml_of(virDomainPtr domain, unsigned flags) {
  const std::unique_ptr<char, Freed<free>> xml(virDomainGetXMLDesc(domain, flags));
  if (!xml) throw libvirt_error("cannot ask what the domain is made of");
  return xml.get();
}

int state_of(virDomainPtr domain) {
  int state = 0, ignored = 0;
  if (virDomainGetState(domain, &state, &ignored, 0) != 0) throw libvirt_error("cannot ask for the domain's state");
  return state;
}

Capture capture_domain(std::shared_ptr<Connection> connection, const DomainTarget& target, const CaptureSpec& spec,
                       const std::stop_token& stop) {
  DomainHandle domain = find_domain(*connection, target);
  const int state = state_of(domain.get());
  if (state == VIR_DOMAIN_SHUTOFF || state == VIR_DOMAIN_CRASHED)
    return capture_domain_stopped(*connection, domain.get(), target, spec, stop);
  const std::string name = target.name.empty() ? printable(target.domain, 128) : target.name;
  if (spec.least == Consistency::stopped) require_consistency(spec, name, {.warning = "its qemu runs"});
  if (!is_this_host(target.connect))
    throw refused(name + " runs on another host, whose qemu can serve its disks to that host only",
                  "run kiln there, with --connect qemu:///system; or shut the machine down first", {target.connect});
  return ActiveCapture(std::move(connection), std::move(domain), target, spec, stop).run();
}

}  // namespace kiln

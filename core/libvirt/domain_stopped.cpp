// Capturing a domain that is shut off: its files are read natively, or fetched from their host first.

#include <libvirt/libvirt.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <kiln/text.h>

#include "libvirt/domain_capture.h"
#include "libvirt/domain_view.h"
#include "libvirt/download.h"
#include "machine/stopped_disk.h"

namespace kiln {
namespace {

/// Files of the host's as files of this one. Those that had to be fetched are gone with it: readers have them open.
class HostFiles {
 public:
  HostFiles(const Connection& connection, const DomainTarget& target, const std::stop_token& stop)
      : connection_(connection), target_(target), stop_(stop) {}
  HostFiles(const HostFiles&) = delete;
  HostFiles& operator=(const HostFiles&) = delete;
  ~HostFiles() {
    std::error_code ignored;
    for (const auto& file : fetched_) std::filesystem::remove(file, ignored);
  }

  std::filesystem::path get(const std::filesystem::path& file) {
    if (is_this_host(target_.connect) && ::access(file.c_str(), R_OK) == 0) return file;
    fetched_.push_back(target_.folder / ("fetched-" + std::to_string(fetched_.size())));
    std::filesystem::remove(fetched_.back());
    download(connection_, file, fetched_.back(), stop_);
    return fetched_.back();
  }
  bool any_fetched() const { return !fetched_.empty(); }

 private:
  const Connection& connection_;
  const DomainTarget& target_;
  const std::stop_token& stop_;
  std::vector<std::filesystem::path> fetched_;
};

class StoppedCapture {
 public:
  StoppedCapture(const Connection& connection, virDomainPtr domain, const DomainTarget& target, const CaptureSpec& spec,
                 const std::stop_token& stop)
      : domain_(domain),
        target_(target),
        spec_(spec),
        view_(view_of(xml_of(domain, VIR_DOMAIN_XML_INACTIVE))),
        name_(target.name.empty() ? printable(view_.name, 128) : target.name),
        files_(connection, target, stop) {}

  Capture run() {
    if (view_.disks.empty()) throw Error(name_ + " has no disk that it can write to", "there is nothing to capture");
    Point point{.consistency = Consistency::stopped};
    if (virDomainHasManagedSaveImage(domain_, 0) == 1)
      point = {.warning = "its memory is saved for when it goes on: the disks alone are as after a power cut"};
    require_consistency(spec_, name_, point);
    Capture capture{.drives = {}, .facts = view_.facts, .warnings = {}};
    capture.facts["capture.instance"] = name_;
    capture.facts["capture.drive"] = printable(view_.disks.front().target, 128);
    capture.facts["capture.format"] = printable(view_.disks.front().format, 32);
    capture.facts["capture.read"] = "all";
    describe(point, capture);
    for (std::size_t i = 0; i < view_.disks.size(); ++i)
      add_drive(capture, view_.disks[i].target, view_.disks[i].target, i == 0 ? "" : part_role::data,
                open_disk(view_.disks[i]));
    if (!view_.vars.empty()) add_vars(capture);
    // What is here keeps it from being started; what was fetched did not.
    if (files_.any_fetched() && state_of(domain_) != VIR_DOMAIN_SHUTOFF)
      throw Error(name_ + " was started while its disks were read", "capture it again");
    return capture;
  }

 private:
  const Format& format_of(const DiskFile& layer) const {
    const std::vector<std::string> all = target_.formats.names();
    if (std::ranges::find(all, layer.format) == all.end())
      throw refused(
          "a disk of " + name_ + " has the format \"" + printable(layer.format, 32) + "\", which kiln cannot read",
          how_to_do_without);
    return target_.formats.get(layer.format);
  }

  std::optional<Manifest> content_below(const DomainDisk& disk) const {
    for (const KnownBase& base : target_.bases)
      if (disk.layers.size() == 2 && disk.layers[1].file == base.file) return base.content;
    return std::nullopt;
  }

  std::shared_ptr<const BlockReader> open_disk(const DomainDisk& disk) {
    if (disk.layers.empty())
      throw refused("disk " + printable(disk.target, 64) + " of " + name_ + " is not a file or a block device",
                    how_to_do_without);
    std::shared_ptr<const BlockReader> below;
    for (std::size_t i = disk.layers.size() - 1; i > 0; --i)
      below = format_of(disk.layers[i]).open(files_.get(disk.layers[i].file), below);
    try {
      return open_stopped(
          {name_, files_.get(disk.layers.front().file), format_of(disk.layers.front()), below, content_below(disk)});
    } catch (const Error& error) {
      if (error.failure() != Failure::refused) throw;
      throw refused("disk " + printable(disk.target, 64) + " of " + name_ + " cannot be read as it is: " + error.what(),
                    how_to_do_without);
    }
  }

  void add_vars(Capture& capture) {
    try {
      add_drive(capture, "vars", "vars", part_role::firmware, read_vars_file(files_.get(view_.vars)));
    } catch (const Error& error) {
      capture.warnings.push_back(std::string("the variables of the firmware are not in the image: ") + error.what());
    }
  }

  static constexpr char how_to_do_without[] = "start it paused and capture that: virsh start --paused NAME";
  const virDomainPtr domain_;
  const DomainTarget& target_;
  const CaptureSpec& spec_;
  const DomainView view_;
  const std::string name_;
  HostFiles files_;
};

}  // namespace

Capture capture_domain_stopped(const Connection& connection, virDomainPtr domain, const DomainTarget& target,
                               const CaptureSpec& spec, const std::stop_token& stop) {
  return StoppedCapture(connection, domain, target, spec, stop).run();
}

}  // namespace kiln

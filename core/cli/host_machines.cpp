#include "cli/host_machines.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include <kiln/file.h>
#include <kiln/random.h>

#include "catalog/image_parts.h"
#include "catalog/life.h"
#include "catalog/names.h"
#include "catalog/sharing.h"
#include "catalog/store.h"
#include "catalog/stored_disk.h"
#include "cli/resumption.h"
#include "cli/write_disk.h"
#include "engine/record.h"
#include "guest/personalise.h"
#include "machine/boot_check.h"
#include "machine/guest_access.h"
#include "machine/qemu.h"
#include "process/file_lock.h"

namespace kiln::cli {

namespace {

LaunchBase base_of(const ImageEntry& entry, DiskFile disk, const LaunchSpec& spec) {
  const Image& image = entry.image;
  return {.disk = std::move(disk),
          .image_id = image.id,
          .image = image.name + ":" + image.version,
          .name = image.name,
          .size = image.virtual_size,
          .facts = image.facts,
          .region = entry.region,
          .reference = spec.reference.empty() ? spec.image : spec.reference};
}

std::size_t data_disks_of(const Image& image) {
  return static_cast<std::size_t>(std::ranges::count(image.parts, part_role::data, &ImagePart::role));
}

std::vector<std::byte> read_vars(const BlockReader& part) {
  constexpr std::uint64_t most = 64u << 20;  // of any flash chip
  if (part.size() > most) throw refused("the image's firmware variables have " + format_bytes(part.size()));
  std::vector<std::byte> vars(part.size());
  part.read(0, vars);
  return vars;
}

}  // namespace

std::filesystem::path Bases::file_of(const Digest& content) const {
  return home_.bases() / (to_hex(content) + ".qcow2");
}

bool Bases::link_layer(const Image& image, const std::filesystem::path& target) const {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(home_.layers(), failed)) {
    const auto record = engine::read_record(entry.path() / "layer.json");
    // A layer with a parent is only what differs from it: its file alone is no disk.
    if (!record || !record->parent.empty() || record->content != image.content) continue;
    std::filesystem::create_hard_link(entry.path() / "disk.qcow2", target, failed);
    if (!failed) return true;
  }
  return false;
}

std::filesystem::path Bases::prepare(const Image& image, std::stop_token stop, const Told& progress) const {
  const std::filesystem::path target = file_of(image.content);
  if (std::filesystem::exists(target)) return target;
  std::filesystem::create_directories(home_.bases());
  if (link_layer(image, target)) return target;
  const auto reader = catalog_.read(image);
  const Manifest manifest = catalog_.manifest(image);
  write_disk(target, {.from = *reader,
                      .format = format_,
                      .known = &manifest,
                      .stop = std::move(stop),
                      .progress = progress,
                      .as_base = true});
  return target;
}

std::uint64_t Bases::forget(const Digest& content) const {
  const std::filesystem::path file = file_of(content);
  std::error_code missing;
  const auto size = std::filesystem::file_size(file, missing);
  return !missing && std::filesystem::remove(file, missing) ? size : 0;
}

BootReport HostMachines::boot(const BootSpec& spec) {
  return boot_check(spec, accelerator_(), stop_);
}

Launches HostMachines::launch(const LaunchSpec& spec, const LaunchProgress& progress) {
  std::filesystem::create_directories(home_.bases());
  // Until the instance has its folder, nothing else tells a removal in this home that the image is in use; to other
  // homes the records tell it.
  const auto lock = FileLock::exclusive(home_.bases() / ".lock");
  const ImageEntry entry = catalog_.show(spec.image, Action::launch);
  const std::vector<std::string> warnings = catalog_.admit(entry);
  record_instances();
  if (!catalog_.view().store().uses.begin({entry.image.id, home_.place(), "", catalog_.view().account().name}))
    throw image_is_gone(entry.reference());
  try {
    Launches launches{start(entry, spec, progress), warnings};
    try_to_record_instances();
    return launches;
  } catch (...) {
    try_to_record_instances();
    throw;
  }
}

Accelerator HostMachines::accelerator_for(const LaunchSpec& spec) const {
  return spec.accelerator.empty() ? accelerator_() : choose_accelerator(spec.accelerator, home_.root(), stop_);
}

std::vector<Launched> HostMachines::start(const ImageEntry& entry, const LaunchSpec& spec,
                                          const LaunchProgress& progress) {
  if (spec.resume) return resume(entry, spec, progress);
  if (spec.driver == "libvirt") return start_domains(entry, spec, progress);
  const Accelerator accelerator = accelerator_for(spec);
  LaunchHooks hooks{.told = progress.instances};
  if (spec.personalise)
    hooks.before_start = [&](const std::vector<Instance>& made) { personalise(made, spec, progress); };
  return instances_.launch(prepare_disks(entry, spec, progress), spec, accelerator, stop_, hooks);
}

std::vector<Launched> HostMachines::resume(const ImageEntry& entry, const LaunchSpec& spec,
                                           const LaunchProgress& progress) {
  const ImagePart& memory = resumable_memory(entry, spec, catalog_.view().account().name);
  LaunchSpec like_then = spec;
  like_then.accelerator = entry.image.facts.at("memory.accelerator");
  LaunchBase base = prepare_disks(entry, like_then, progress);
  base.resumption = resumption_of(entry.image);
  const auto put_memory = [&](const std::vector<Instance>& made) {
    const auto reader = catalog_.read(disk_of(entry.image, memory));
    for (const Instance& instance : made)
      write_memory(*reader, instance.folder / machine_file::memory, stop_, progress.base);
  };
  auto launched = instances_.launch(base, like_then, accelerator_for(like_then), stop_,
                                    {.told = progress.instances, .before_start = put_memory});
  set_clocks(launched);
  return launched;
}

/// They believe that it is the time of the capture. Who has no agent finds out by itself, if at all.
void HostMachines::set_clocks(const std::vector<Launched>& launched) const {
  constexpr Duration patience = std::chrono::seconds(3);
  for (const Launched& one : launched) try {
      if (!one.was_there) GuestAccess::open(instances_.get(one.name), stop_, patience).set_clock(patience);
    } catch (const Error&) {
      // it runs, which is what was asked for
    }
}

void HostMachines::personalise(const std::vector<Instance>& made, const LaunchSpec& spec,
                               const LaunchProgress& progress) {
  constexpr std::size_t seed_size = 512;  // what systemd keeps
  std::vector<ClonedDisk> disks;
  for (const Instance& instance : made) {
    std::string machine_id = instance.uuid;
    std::erase(machine_id, '-');
    disks.push_back(
        {instance.folder / machine_file::disk, {instance.name, machine_id, random_bytes(seed_size), spec.ssh_keys}});
  }
  const auto folder = made.front().folder / "appliance";
  std::filesystem::create_directory(folder);
  personalise_all(disks,
                  {.overlay = {},
                   .run_dir = folder,
                   .force_tcg = accelerator_().name != "kvm",
                   .stop = stop_,
                   .sandboxed = sandboxed_},
                  progress.disks);
  std::filesystem::remove_all(folder);
}

LaunchBase HostMachines::prepare_disks(const ImageEntry& entry, const LaunchSpec& spec,
                                       const LaunchProgress& progress) const {
  const Image& image = entry.image;
  const Hardware hardware = hardware_for(spec, image.facts);
  require_bus_for(hardware.disk_bus, data_disks_of(image));
  LaunchBase base = base_of(entry, {bases_.prepare(image, stop_, progress.base), "qcow2"}, spec);
  for (const ImagePart& part : image.parts) {
    if (part.role == part_role::data) {
      const Image disk = disk_of(image, part);
      base.data.push_back({{bases_.prepare(disk, stop_, progress.base), "qcow2"}, disk.virtual_size});
    }
    // Those of another firmware would be of no use, and one that has no keys in them is not the secure one.
    const auto firmware = image.facts.find("boot.firmware");
    if (part.role == part_role::firmware && base.vars.empty() && firmware != image.facts.end() &&
        firmware->second == to_text(hardware.firmware))
      base.vars = read_vars(*catalog_.read(disk_of(image, part)));
  }
  return base;
}

std::vector<Launched> HostMachines::start_domains(const ImageEntry& entry, LaunchSpec spec,
                                                  const LaunchProgress& progress) {
  LibvirtDriver::require_possible(spec);
  if (const std::size_t data = data_disks_of(entry.image); data != 0)
    throw refused(entry.reference() + " has " + std::to_string(data + 1) +
                      " disks, and kiln makes machines of several disks on this host only",
                  "launch it without --driver libvirt");
  spec.connect = libvirt_.resolve(spec.connect, stop_);
  if (spec.accelerator.empty()) spec.accelerator = libvirt_.accelerator(spec.connect).value_or("");
  const Accelerator accelerator = accelerator_for(spec);
  const Manifest manifest = catalog_.manifest(entry.image);
  const auto manifest_of = [&](const Digest& content) -> std::optional<Manifest> {
    try {
      const FileLock keep = catalog_.view().store().keep_files();
      return open_manifest(catalog_.view().store(), content);
    } catch (const Error&) {
      return std::nullopt;  // the host has more than this catalog knows
    }
  };
  const BaseOnHost base = libvirt_.prepare(spec.connect, {.manifest = manifest,
                                                          .open = [&] { return catalog_.read(entry.image); },
                                                          .manifest_of = manifest_of,
                                                          .stop = stop_,
                                                          .progress = progress.base});
  auto launched =
      instances_.launch(base_of(entry, base.disk, spec), spec, accelerator, stop_, {.told = progress.instances});
  launched.front().sent = base.sent;  // once for all of them
  return launched;
}

void HostMachines::try_to_record_instances() noexcept {
  try {
    record_instances();
  } catch (const std::exception&) {
    // the image stays in use by a launch, until this home says the next time what it has
  }
}

void HostMachines::record_instances() {
  const std::string home = home_.place();
  std::vector<ImageUse> uses;
  std::set<std::string> unreadable;
  for (const Instance& instance : instances_.everybodys()) {
    if (instance.detached) continue;
    if (instance.image_id.empty())
      unreadable.insert(instance.name);
    else
      uses.push_back({instance.image_id, home, instance.name, instance.account});
  }
  // What cannot be read may run all the same.
  UseRecords& records = catalog_.view().store().uses;
  if (!unreadable.empty())
    for (const ImageUse& use : records.of_home(home))
      if (unreadable.contains(use.instance)) uses.push_back(use);
  records.replace(home, std::move(uses));
}

void HostMachines::record_uses() {
  std::filesystem::create_directories(home_.bases());
  for (int tries = 0; tries < 100; ++tries) {
    if (const auto lock = FileLock::try_exclusive(home_.bases() / ".lock")) return record_instances();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void HostMachines::lend_base(const Image& image, const std::filesystem::path& link, const Bases::Told& progress) {
  std::filesystem::create_directories(home_.bases());
  const auto lock = FileLock::exclusive(home_.bases() / ".lock");
  const bool was_there = bases_.has(image);
  std::error_code error;
  std::filesystem::create_hard_link(bases_.prepare(image, stop_, progress), link, error);
  if (!was_there) bases_.forget(image.content);
  if (error) throw system_error("cannot link " + link.string(), error.value());
}

Removal HostMachines::remove_image(const std::string& reference) {
  std::filesystem::create_directories(home_.bases());
  const auto lock = FileLock::exclusive(home_.bases() / ".lock");
  Removal removal = catalog_.remove(reference, [this](const ImageEntry& entry) { return recorded_users_of(entry); });
  removal.bytes_freed += forget_bases(removal.image);
  return removal;
}

ImageEntry HostMachines::trash_image(const std::string& reference, const Moment& purge_at) {
  std::filesystem::create_directories(home_.bases());
  const auto lock = FileLock::exclusive(home_.bases() / ".lock");
  const Users users = [this](const ImageEntry& entry) { return recorded_users_of(entry); };
  ImageEntry trashed = Life(catalog_.view()).trash(reference, users, purge_at);
  forget_bases(trashed.image);  // made again should it be restored
  return trashed;
}

std::vector<std::string> HostMachines::recorded_users_of(const ImageEntry& entry) {
  record_instances();
  return users_of(entry);
}

std::vector<std::string> HostMachines::users_of(const ImageEntry& entry) const {
  const Sharing sharing(catalog_.view());
  std::vector<std::string> own, others;
  for (const Instance& instance : instances_.instances_of(entry.image.id)) {
    if (instances_.sees(instance))
      own.push_back(instance.name);
    else if (!instance.account.empty() && sharing.may_hear_of(entry.image.id, instance.account))
      others.push_back("an instance of " + instance.account);
    else
      others.emplace_back("an instance of another account");
  }
  own.insert(own.end(), others.begin(), std::unique(others.begin(), others.end()));
  const auto elsewhere = Life(catalog_.view()).users_on_record(entry, home_.place());
  own.insert(own.end(), elsewhere.begin(), elsewhere.end());
  return own;
}

std::uint64_t HostMachines::forget_bases(const Image& image) const {
  std::uint64_t bytes = 0;
  for (const Digest& content : contents_of(image)) {
    // Other accounts' instances stand on it as well: this account's view of the catalog says nothing about them.
    const auto same = catalog_.view().store().images.list({.content = content});
    const bool needed =
        std::ranges::any_of(same, [](const ImageEntry& entry) { return entry.state() != ImageState::trashed; });
    if (!needed) bytes += bases_.forget(content);
  }
  return bytes;
}

}  // namespace kiln::cli

#include "cli/host_machines.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include <kiln/file.h>

#include "catalog/life.h"
#include "catalog/names.h"
#include "catalog/sharing.h"
#include "catalog/store.h"
#include "cli/write_disk.h"
#include "disk/manifest.h"
#include "engine/record.h"
#include "machine/boot_check.h"
#include "process/file_lock.h"

namespace kiln::cli {

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

Launched HostMachines::launch(const LaunchSpec& spec, const Bases::Told& progress) {
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
    Launched launched = start(entry, spec, progress);
    launched.warnings = warnings;
    try_to_record_instances();
    return launched;
  } catch (...) {
    try_to_record_instances();
    throw;
  }
}

Launched HostMachines::start(const ImageEntry& entry, const LaunchSpec& spec, const Bases::Told& progress) {
  const Image& image = entry.image;
  const Accelerator accelerator =
      spec.accelerator.empty() ? accelerator_() : choose_accelerator(spec.accelerator, home_.root(), stop_);
  const LaunchBase base{.disk = {bases_.prepare(image, stop_, progress), "qcow2"},
                        .image_id = image.id,
                        .image = image.name + ":" + image.version,
                        .name = image.name,
                        .firmware = firmware_of(image),
                        .region = entry.region};
  return instances_.launch(base, spec, accelerator, stop_);
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
    if (instance.image_id.empty())
      unreadable.insert(instance.name);
    else
      uses.push_back({instance.image_id, home, instance.name, instance.account});
  }
  // What cannot be read may run all the same.
  UseRecords& records = catalog_.view().store().uses;
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
  removal.bytes_freed += forget_base(removal.image.content);
  return removal;
}

ImageEntry HostMachines::trash_image(const std::string& reference, const Moment& purge_at) {
  std::filesystem::create_directories(home_.bases());
  const auto lock = FileLock::exclusive(home_.bases() / ".lock");
  const Users users = [this](const ImageEntry& entry) { return recorded_users_of(entry); };
  ImageEntry trashed = Life(catalog_.view()).trash(reference, users, purge_at);
  forget_base(trashed.image.content);  // made again should it be restored
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

std::uint64_t HostMachines::forget_base(const Digest& content) const {
  // Other accounts' instances stand on it as well: this account's view of the catalog says nothing about them.
  const auto same = catalog_.view().store().images.list({.content = content});
  const bool needed = std::any_of(same.begin(), same.end(),
                                  [](const ImageEntry& entry) { return entry.state() != ImageState::trashed; });
  return needed ? 0 : bases_.forget(content);
}

Firmware firmware_of(const Image& image) {
  const auto fact = image.facts.find("boot.firmware");
  return fact != image.facts.end() && fact->second == "uefi" ? Firmware::uefi : Firmware::bios;
}

}  // namespace kiln::cli

#include "cli/host_machines.h"

#include <algorithm>

#include <kiln/file.h>

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
  // Until the instance has its folder, nothing else tells a removal that the image is in use.
  const auto lock = FileLock::exclusive(home_.bases() / ".lock");
  const Image image = catalog_.show(spec.image, Action::launch).image;
  const Accelerator accelerator =
      spec.accelerator.empty() ? accelerator_() : choose_accelerator(spec.accelerator, home_.root(), stop_);
  const LaunchBase base{.disk = {bases_.prepare(image, stop_, progress), "qcow2"},
                        .image_id = image.id,
                        .image = image.name + ":" + image.version,
                        .name = image.name,
                        .firmware = firmware_of(image)};
  return instances_.launch(base, spec, accelerator, stop_);
}

Removal HostMachines::remove_image(const std::string& reference) {
  std::filesystem::create_directories(home_.bases());
  const auto lock = FileLock::exclusive(home_.bases() / ".lock");
  Removal removal = catalog_.remove(reference, [this](const Image& image) {
    std::vector<std::string> names;
    for (const Instance& instance : instances_.instances_of(image.id)) names.push_back(instance.name);
    return names;
  });
  const auto entries = catalog_.list();
  const bool still_needed = std::any_of(entries.begin(), entries.end(), [&](const ImageEntry& entry) {
    return entry.image.content == removal.image.content;
  });
  if (!still_needed) removal.bytes_freed += bases_.forget(removal.image.content);
  return removal;
}

Firmware firmware_of(const Image& image) {
  const auto fact = image.facts.find("boot.firmware");
  return fact != image.facts.end() && fact->second == "uefi" ? Firmware::uefi : Firmware::bios;
}

}  // namespace kiln::cli

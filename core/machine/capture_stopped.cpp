// Capturing an instance that is shut off: its overlays and their bases are read natively, nothing is started.

#include <utility>
#include <vector>

#include "machine/capture.h"
#include "machine/qemu.h"
#include "machine/stopped_disk.h"

namespace kiln {
namespace {

std::shared_ptr<const BlockReader> open_disk(const Instance& instance, std::size_t number, const DiskFile& below,
                                             const Format& format, const std::vector<KnownBase>& bases) {
  const std::filesystem::path overlay = instance.folder / disk_file(number);
  const auto base = below.file.empty() ? nullptr : format.open(below.file);
  return open_stopped({"instance \"" + instance.name + '"', overlay, format, base, content_of(below.file, bases)});
}

}  // namespace

Capture capture_stopped(const Instance& instance, const Format& format, const std::vector<KnownBase>& bases) {
  Capture capture;
  const auto add = [&](const std::string& name, std::string_view role, std::shared_ptr<const BlockReader> disk) {
    add_drive(capture, name, name, role, std::move(disk));
  };
  add(disk_device_name(0), "", open_disk(instance, 0, instance.base, format, bases));
  for (std::size_t i = 0; i < instance.data.size(); ++i)
    add(disk_device_name(i + 1), part_role::data, open_disk(instance, i + 1, instance.data[i].base, format, bases));
  if (instance.hardware.firmware != Firmware::bios)
    add("vars", part_role::firmware, read_vars_file(instance.folder / machine_file::vars));
  capture.facts.merge(Facts{{"capture.consistency", std::string(to_text(Consistency::stopped))},
                            {"capture.instance", instance.name},
                            {"capture.drive", disk_device_name(0)},
                            {"capture.format", "qcow2"},
                            {"capture.read", "all"},
                            {"machine.cpus", std::to_string(instance.hardware.cpus)},
                            {"machine.memory", std::to_string(instance.hardware.memory.count)},
                            {"machine.disk_bus", std::string(to_text(instance.hardware.disk_bus))},
                            {"machine.nic", std::string(to_text(instance.hardware.nic))},
                            {"boot.firmware", std::string(to_text(instance.hardware.firmware))}});
  return capture;
}

}  // namespace kiln

// Starting an instance again. Everything that can be refused is refused first.
#include "machine/start.h"

#include <algorithm>
#include <string>
#include <vector>

#include "machine/host_room.h"
#include "machine/instance_record.h"
#include "machine/instances.h"
#include "machine/ports.h"
#include "machine/started_qemu.h"

namespace kiln {
namespace {

void require_base(const Instance& instance, const DiskFile& base) {
  if (!std::filesystem::exists(base.file))
    throw Error("instance \"" + instance.name + "\" has lost the disk of its image",
                "is everything of KILN_HOME there?", {"missing: " + base.file.string()});
}

}  // namespace

void require_startable(const Instance& instance) {
  require_readable(instance);
  if (instance.base.file.empty() && !instance.detached)
    throw Error(
        "instance \"" + instance.name + "\" is from a kiln that could not start one again, and did not record how",
        "launch another one from its image: kiln launch " + instance.image);
  if (!instance.restoring.empty())
    throw Error("the disk of instance \"" + instance.name + "\" is half restored: kiln was stopped meanwhile",
                "end it: kiln restore " + instance.name + " --to " + instance.restoring);
  if (instance.detached) return;
  require_base(instance, instance.base);
  for (const DataDisk& disk : instance.data) require_base(instance, disk.base);
}

void Instances::mark_restoring(const std::string& name, const std::string& image) const {
  const FileLock lock = lock_folder();
  Instance instance = get(name);
  require_readable(instance);
  if (instance.state == Instance::State::running)
    throw Error("instance \"" + name + "\" is running", "kiln stop " + name);
  instance.restoring = image;
  write_instance(instance);
}

void Instances::mark_detached(const std::string& name) const {
  const FileLock lock = lock_folder();
  Instance instance = get(name);
  require_readable(instance);
  instance.detached = true;
  instance.base = {};
  for (DataDisk& disk : instance.data) disk.base = {};
  write_instance(instance);
}

bool Instances::has_room_for(const std::string& name) const {
  return !lack_of_room(room_of_host(everybodys()), get(name).hardware, 1);
}

bool Instances::start(const std::string& name, const Accelerator& accelerator, std::stop_token stop,
                      bool overcommit) const {
  const FileLock lock = lock_folder();
  Instance instance = get(name);
  if (instance.state == Instance::State::running) return false;
  if (Driver* driver = driver_of(instance)) {
    driver->start(instance, stop);
    return true;
  }
  require_startable(instance);
  std::vector<Instance> others = list();
  std::erase_if(others, [&](const Instance& other) { return other.name == name; });
  end_unrecorded(instance, stop);
  check_ports(instance.ports, others, PortsOf::record);
  if (!overcommit)
    require_room(room_of_host(everybodys()), instance.hardware, 1,
                 "stop others, or do without the room: kiln start " + name + " --overcommit");
  instance.accelerator = accelerator.name;
  instance.boot_id = host_boot_id();
  StartedQemu qemu(instance.folder, machine_of(instance));
  instance.process = qemu.process();
  write_instance(instance);
  qemu.wait_until_it_runs(stop);
  qemu.keep();
  return true;
}

}  // namespace kiln

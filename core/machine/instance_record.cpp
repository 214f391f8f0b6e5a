#include "machine/instance_record.h"

#include <kiln/file.h>

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using nlohmann::json;
constexpr char record_name[] = "instance.json";

Instance::State state_of(const Instance& instance) {
  if (instance.process.pid == 0) return Instance::State::broken;
  const bool alive = instance.boot_id == host_boot_id() && identify(instance.process.pid) == instance.process;
  return alive ? Instance::State::running : Instance::State::stopped;
}

Instance from_json(const json& j) {
  Instance i;
  i.name = j.at("name");
  i.account = j.value("account", "");
  i.of_server = j.value("of_server", false);
  i.region = j.value("region", "");
  i.image_id = j.at("image_id");
  i.image = j.at("image");
  i.created = j.at("created");
  i.accelerator = j.at("accelerator");
  i.firmware = j.at("firmware") == "uefi" ? Firmware::uefi : Firmware::bios;
  i.memory.count = j.at("memory");
  i.cpus = j.at("cpus");
  for (const json& p : j.at("ports")) i.ports.push_back({p.at("host"), p.at("guest")});
  i.process = {j.at("pid"), j.at("started")};
  i.boot_id = j.at("boot_id");
  return i;
}

}  // namespace

std::optional<Instance> read_instance(const std::filesystem::path& folder) {
  try {
    Instance instance = from_json(json::parse(read_text(folder / record_name)));
    instance.folder = folder;
    instance.state = state_of(instance);
    return instance;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

void write_instance(const Instance& i) {
  json ports = json::array();
  for (const PortForward& p : i.ports) ports.push_back({{"host", p.host}, {"guest", p.guest}});
  const json j{{"name", i.name},
               {"account", i.account},
               {"of_server", i.of_server},
               {"region", i.region},
               {"image_id", i.image_id},
               {"image", i.image},
               {"created", i.created},
               {"accelerator", i.accelerator},
               {"firmware", i.firmware == Firmware::uefi ? "uefi" : "bios"},
               {"memory", i.memory.count},
               {"cpus", i.cpus},
               {"ports", ports},
               {"pid", i.process.pid},
               {"started", i.process.started},
               {"boot_id", i.boot_id}};
  write_text(i.folder / record_name, j.dump(2) + "\n", true);
}

}  // namespace kiln

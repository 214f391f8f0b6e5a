#include "machine/instance_record.h"

#include <array>
#include <ctime>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using nlohmann::json;
constexpr char record_name[] = "instance.json";

Instance::State state_of(const Instance& instance) {
  if (instance.driver != "qemu") return Instance::State::unknown;
  const bool alive = instance.process.pid != 0 && instance.boot_id == host_boot_id() &&
                     identify(instance.process.pid) == instance.process;
  return alive ? Instance::State::running : Instance::State::stopped;
}

std::vector<DataDisk> data_of(const json& disks) {
  std::vector<DataDisk> data;
  for (const json& disk : disks)
    data.push_back({{disk.at("file").get<std::string>(), disk.at("format")}, disk.at("size")});
  return data;
}

json to_json(const std::vector<DataDisk>& data) {
  json disks = json::array();
  for (const DataDisk& disk : data)
    disks.push_back({{"file", disk.base.file.string()}, {"format", disk.base.format}, {"size", disk.size}});
  return disks;
}

Instance from_json(const json& j) {
  Instance i;
  i.name = j.at("name");
  i.account = j.value("account", "");
  i.of_server = j.value("of_server", false);
  i.region = j.value("region", "");
  i.image_id = j.at("image_id");
  i.image = j.at("image");
  i.reference = j.value("reference", "");
  if (const auto base = j.find("base"); base != j.end())
    i.base = {base->at("file").get<std::string>(), base->at("format")};
  i.created = j.at("created");
  i.accelerator = j.at("accelerator");
  i.hardware.firmware = firmware_from(j.at("firmware").get<std::string>());
  i.hardware.memory.count = j.at("memory");
  i.hardware.cpus = j.at("cpus");
  i.hardware.disk_bus = disk_bus_from(j.value("disk_bus", "virtio"));
  i.hardware.nic = nic_from(j.value("nic", "virtio"));
  i.hardware.tap = j.value("tap", "");
  i.hardware.isolated = j.value("isolated", false);
  i.disk_size = j.value("disk_size", std::uint64_t{0});
  i.data = data_of(j.value("data", json::array()));
  i.uuid = j.value("uuid", "");
  i.mac = j.value("mac", "");
  i.token = j.value("token", "");
  i.restoring = j.value("restoring", "");
  i.fleet = j.value("fleet", "");
  for (const json& p : j.at("ports")) i.ports.push_back({p.at("host"), p.at("guest")});
  i.process = {j.at("pid"), j.at("started")};
  i.boot_id = j.at("boot_id");
  i.detached = j.value("detached", false);
  i.driver = j.value("driver", "qemu");
  i.connect = j.value("connect", "");
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

void write_instance(const Instance& i, bool durable) {
  json ports = json::array();
  for (const PortForward& p : i.ports) ports.push_back({{"host", p.host}, {"guest", p.guest}});
  const json j{{"name", i.name},
               {"account", i.account},
               {"of_server", i.of_server},
               {"region", i.region},
               {"image_id", i.image_id},
               {"image", i.image},
               {"reference", i.reference},
               {"base", {{"file", i.base.file.string()}, {"format", i.base.format}}},
               {"created", i.created},
               {"accelerator", i.accelerator},
               {"firmware", to_text(i.hardware.firmware)},
               {"memory", i.hardware.memory.count},
               {"cpus", i.hardware.cpus},
               {"disk_bus", to_text(i.hardware.disk_bus)},
               {"nic", to_text(i.hardware.nic)},
               {"tap", i.hardware.tap},
               {"isolated", i.hardware.isolated},
               {"disk_size", i.disk_size},
               {"data", to_json(i.data)},
               {"uuid", i.uuid},
               {"mac", i.mac},
               {"token", i.token},
               {"restoring", i.restoring},
               {"fleet", i.fleet},
               {"ports", ports},
               {"pid", i.process.pid},
               {"started", i.process.started},
               {"boot_id", i.boot_id},
               {"detached", i.detached},
               {"driver", i.driver},
               {"connect", i.connect}};
  write_text(i.folder / record_name, j.dump(2) + "\n", durable);
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

}  // namespace kiln

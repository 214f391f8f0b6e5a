// kiln ps: the instances and how they are.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Json to_json(const Instance& instance) {
  Json ports = Json::array();
  for (const PortForward& port : instance.ports) ports.push_back({{"host", port.host}, {"guest", port.guest}});
  const bool running = instance.state == Instance::State::running;
  return {{"name", instance.name},
          {"state", to_text(instance.state)},
          {"account", instance.account.empty() ? Json(nullptr) : Json(instance.account)},
          {"region", instance.region.empty() ? Json(nullptr) : Json(instance.region)},
          {"image", instance.image},
          {"image_id", instance.image_id},
          {"created", instance.created},
          {"accelerator", instance.accelerator},
          {"firmware", instance.firmware == Firmware::uefi ? "uefi" : "bios"},
          {"memory", instance.memory.count},
          {"cpus", instance.cpus},
          {"ports", ports},
          {"pid", running ? Json(instance.process.pid) : Json(nullptr)},
          {"folder", instance.folder.string()}};
}

}  // namespace

int run_ps(Call& call) {
  const std::vector<Instance> instances = call.services.instances().list();
  if (call.out.json()) {
    Json all = Json::array();
    for (const Instance& instance : instances) all.push_back(to_json(instance));
    call.out.object({{"instances", all}});
    return 0;
  }
  if (instances.empty()) {
    call.out.line("no instances; start one with: kiln launch IMAGE");
    return 0;
  }
  const bool of_several = std::ranges::any_of(
      instances, [&](const Instance& instance) { return instance.account != instances.front().account; });
  TextTable table{{"NAME", "STATE", "IMAGE", ">MEMORY", ">CPUS", "PORTS", ">AGE"}};
  if (of_several) table.headings.push_back("ACCOUNT");
  for (const Instance& instance : instances) {
    std::string ports;
    for (const PortForward& port : instance.ports)
      ports += fmt::format("{}{}:{}", ports.empty() ? "" : ",", port.host, port.guest);
    table.rows.push_back({instance.name, std::string(to_text(instance.state)), instance.image,
                          format_bytes(instance.memory.count), std::to_string(instance.cpus), ports,
                          age_of(instance.created)});
    if (of_several) table.rows.back().push_back(instance.account);
  }
  call.out.table(table);
  return 0;
}

}  // namespace kiln::cli

// kiln ps: the instances and how they are.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/drift.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "machine/ending.h"
#include "machine/health.h"

namespace kiln::cli {
namespace {

/// All that is told of one instance.
struct Row {
  const Instance& instance;
  const Health& health;
  Drift drift;
  bool running() const { return instance.state == Instance::State::running; }
  /// Only of a process of this host is known how it is, how long, and how it ended.
  bool here() const { return instance.driver == "qemu"; }
  bool runs_here() const { return here() && running(); }
};

Json ending_json(const Row& row) {
  const Instance& instance = row.instance;
  if (!row.here() || instance.state != Instance::State::stopped) return nullptr;
  Json json{{"how", how_it_ended(instance)}};
  const auto ending = read_ending(instance);
  if (!ending) return json;
  json.update({{"when", ending->when},
               {"status", ending->exit.status},
               {"signal", ending->exit.signal},
               {"reason", ending->reason.empty() ? Json(nullptr) : Json(ending->reason)},
               {"serial", ending->serial}});
  return json;
}

Json health_json(const Row& row) {
  if (!row.runs_here()) return nullptr;
  return {{"text", row.health.text()},
          {"qemu", row.health.answered ? Json(row.health.run_state) : Json(nullptr)},
          {"agent", to_text(row.health.agent)}};
}

Json to_json(const Row& row) {
  const Instance& instance = row.instance;
  Json ports = Json::array();
  for (const PortForward& port : instance.ports) ports.push_back({{"host", port.host}, {"guest", port.guest}});
  const auto uptime = [&] { return std::chrono::floor<std::chrono::seconds>(running_time(instance.process)).count(); };
  return {{"name", instance.name},
          {"state", to_text(instance.state)},
          {"health", health_json(row)},
          {"ended", ending_json(row)},
          {"account", instance.account.empty() ? Json(nullptr) : Json(instance.account)},
          {"region", instance.region.empty() ? Json(nullptr) : Json(instance.region)},
          {"image", instance.image},
          {"image_id", instance.image_id},
          {"detached", instance.detached},
          {"drift", to_json(row.drift)},
          {"created", instance.created},
          {"uptime", row.runs_here() ? Json(uptime()) : Json(nullptr)},
          {"accelerator", instance.accelerator},
          {"firmware", to_text(instance.hardware.firmware)},
          {"memory", instance.hardware.memory.count},
          {"cpus", instance.hardware.cpus},
          {"ports", ports},
          {"pid", row.runs_here() ? Json(instance.process.pid) : Json(nullptr)},
          {"driver", instance.driver},
          {"host", instance.connect.empty() ? Json(nullptr) : Json(instance.connect)},
          {"reason", instance.reason.empty() ? Json(nullptr) : Json(instance.reason)},
          {"folder", instance.folder.string()}};
}

std::string ports_text(const Instance& instance) {
  std::string ports;
  for (const PortForward& port : instance.ports)
    ports += fmt::format("{}{}:{}", ports.empty() ? "" : ",", port.host, port.guest);
  return ports;
}

std::vector<std::string> cells(const Row& row) {
  const Instance& instance = row.instance;
  const bool stopped = row.here() && instance.state == Instance::State::stopped;
  const std::int64_t seconds = std::chrono::floor<std::chrono::seconds>(running_time(instance.process)).count();
  return {instance.name,
          std::string(to_text(instance.state)),
          row.runs_here() ? row.health.text()
          : stopped       ? how_it_ended(instance)
                          : "",
          instance.image,
          row.drift.text(),
          ports_text(instance),
          row.runs_here() ? span_text(seconds) : "",
          age_of(instance.created),
          format_bytes(instance.hardware.memory.count),
          std::to_string(instance.hardware.cpus)};
}

void print_table(Output& out, const std::vector<Row>& rows) {
  const bool of_several =
      std::ranges::any_of(rows, [&](const Row& row) { return row.instance.account != rows.front().instance.account; });
  TextTable table{{"NAME", "STATE", "HEALTH", "IMAGE", "DRIFT", "PORTS", ">UPTIME", ">AGE", ">MEMORY", ">CPUS"}};
  const bool elsewhere = std::ranges::any_of(rows, [](const Row& row) { return !row.here(); });
  if (of_several) table.headings.push_back("ACCOUNT");
  if (elsewhere) table.headings.push_back("HOST");
  for (const Row& row : rows) {
    table.rows.push_back(cells(row));
    if (of_several) table.rows.back().push_back(row.instance.account);
    if (elsewhere) table.rows.back().push_back(row.instance.connect);
  }
  out.table(table);
  out.flush();
  for (const Row& row : rows)
    if (!row.instance.reason.empty()) print_warning(row.instance.name + ": " + row.instance.reason);
}

}  // namespace

int run_ps(Call& call) {
  const Instances home = call.services.instances();
  std::vector<Instance> instances = home.list();
  home.ask_hosts(instances);
  const std::vector<Health> health = health_of(instances);
  DriftCheck drift(call.services);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < instances.size(); ++i) rows.push_back({instances[i], health[i], drift.of(instances[i])});
  if (call.out.json()) {
    Json all = Json::array();
    for (const Row& row : rows) all.push_back(to_json(row));
    call.out.object({{"instances", all}});
  } else if (rows.empty()) {
    call.out.line("no instances; start one with: kiln launch IMAGE");
  } else {
    print_table(call.out, rows);
  }
  return 0;
}

}  // namespace kiln::cli

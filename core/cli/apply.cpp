// kiln apply: makes the instances that a fleet's file describes; applied again it changes nothing.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/apply.h"
#include "cli/errors.h"
#include "cli/launch_spec.h"
#include "cli/output.h"
#include "cli/services.h"
#include "engine/fleet.h"
#include "process/file_lock.h"

namespace kiln::cli {
namespace {

struct Done {
  std::string name, group;
  std::string what;  ///< "there", "started", "launched", "replaced", "removed", "outdated", "surplus"
  std::string why = {};
};

LaunchSpec spec_of(const engine::FleetGroup& group, const std::string& mark, const Args& args) {
  LaunchSpec spec;
  spec.image = group.image;
  spec.name = group.name.find('#') == std::string::npos && group.count != 1 ? group.name + "-#" : group.name;
  spec.cpus = static_cast<unsigned>(group.cpus);
  const auto bytes = [&](const std::string& text, const char* setting) {
    const auto parsed = text.empty() ? std::optional(Bytes{0}) : parse_bytes(text);
    if (!parsed)
      throw invalid(fmt::format("\"{}\" of \"{}\" takes a size such as \"1G\", not \"{}\"", setting, group.name, text));
    return *parsed;
  };
  spec.memory = bytes(group.memory, "memory");
  spec.disk_size = bytes(group.disk_size, "disk_size").count;
  spec.disk_bus = group.disk_bus;
  spec.nic = group.nic;
  spec.network = group.network;
  spec.firmware = group.firmware;
  for (const std::string& port : group.ports) spec.ports.push_back(port_forward(port, "\"ports\""));
  for (const auto& file : group.ssh_keys)
    for (std::string& key : public_keys(file)) spec.ssh_keys.push_back(std::move(key));
  if (group.user_data) spec.user_data = read_text(*group.user_data, 1 << 20);
  spec.connect = group.connect;
  spec.driver = !group.driver.empty() ? group.driver : group.connect.empty() ? "qemu" : "libvirt";
  if (spec.driver != "qemu" && spec.driver != "libvirt")
    throw invalid(
        fmt::format("\"driver\" of \"{}\" takes \"qemu\" or \"libvirt\", not \"{}\"", group.name, spec.driver));
  if (spec.driver == "qemu" && !group.connect.empty())
    throw invalid(fmt::format("\"connect\" of \"{}\" names a host of libvirt", group.name),
                  "leave it out, or say driver = \"libvirt\"");
  spec.fleet = mark;
  spec.overcommit = args.has("overcommit");
  return spec;
}

/// A group as it is to be launched.
struct Wanted {
  const engine::FleetGroup& group;
  ImageEntry image;
  LaunchSpec spec;
};

/// One group after the other, and what it did.
class Application {
 public:
  Application(Call& call, engine::Fleet fleet)
      : call_(call), fleet_(std::move(fleet)), dry_run_(call.args.has("dry-run")), all_(instances().list()) {
    instances().ask_hosts(all_);
  }

  std::vector<Done> run() {
    std::vector<Wanted> wanted;  // all of them first: what is wrong with one is said before anything is done
    for (const engine::FleetGroup& group : fleet_.groups) wanted.push_back(understand(group));
    for (const Wanted& group : wanted) apply(group);
    for (const Instance& instance : all_)
      if (instance.fleet.starts_with(fleet_.name + "/") && !is_described(instance))
        surplus(instance, "no longer described");
    return std::move(done_);
  }

 private:
  Instances instances() { return call_.services.instances(); }
  std::string mark_of(const engine::FleetGroup& group) const { return fleet_.name + "/" + group.name; }
  bool is_described(const Instance& instance) const {
    return std::any_of(fleet_.groups.begin(), fleet_.groups.end(),
                       [&](const auto& group) { return instance.fleet == mark_of(group); });
  }

  Wanted understand(const engine::FleetGroup& group) const {
    Wanted wanted{group, call_.services.catalog().view().resolve(group.image, Action::launch),
                  spec_of(group, mark_of(group), call_.args)};
    wanted.spec.reference = group.image;
    wanted.spec.image = wanted.image.image.id;
    return wanted;
  }

  void apply(const Wanted& wanted) {
    const engine::FleetGroup& group = wanted.group;
    std::vector<Instance> there;
    for (const Instance& instance : all_) {
      if (instance.fleet != wanted.spec.fleet) continue;
      if (std::ssize(there) == group.count) {
        surplus(instance, fmt::format("more than {}", group.count));
        continue;
      }
      there.push_back(instance);
      if (instance.image_id != wanted.image.image.id)
        outdated(instance, wanted);
      else
        keep(instance, group);
    }
    if (std::ssize(there) < group.count) launch(wanted, there);
  }

  void keep(const Instance& instance, const engine::FleetGroup& group) {
    const bool stopped = instance.state == Instance::State::stopped;
    if (stopped && !dry_run_)
      instances().start(instance.name, call_.services.accelerator(), call_.stop, call_.args.has("overcommit"));
    done_.push_back({instance.name, group.name, stopped ? "started" : "there"});
  }

  void outdated(const Instance& instance, const Wanted& wanted) {
    const std::string why = fmt::format("of {}, not {}", instance.image, wanted.image.reference());
    if (!call_.args.has("replace")) {
      done_.push_back({instance.name, wanted.group.name, "outdated", why});
      return;
    }
    if (!dry_run_) {
      instances().remove(instance.name, true);
      LaunchSpec spec = at_place(wanted, place_of(instance, wanted));
      spec.name = instance.name;
      start(spec);
    }
    done_.push_back({instance.name, wanted.group.name, "replaced", why});
  }

  void surplus(const Instance& instance, const std::string& why) {
    const bool prune = call_.args.has("prune");
    if (prune && !dry_run_) instances().remove(instance.name, true);
    done_.push_back({instance.name, instance.fleet.substr(fleet_.name.size() + 1), prune ? "removed" : "surplus", why});
  }

  /// Ports that are given count on within a group: which of them an instance has.
  static std::int64_t place_of(const Instance& instance, const Wanted& wanted) {
    for (const PortForward& given : wanted.spec.ports)
      for (const PortForward& has : instance.ports)
        if (given.host != 0 && has.guest == given.guest && has.host >= given.host &&
            has.host < given.host + wanted.group.count)
          return has.host - given.host;
    return 0;
  }

  static LaunchSpec at_place(const Wanted& wanted, std::int64_t place) {
    LaunchSpec spec = wanted.spec;
    for (PortForward& port : spec.ports)
      if (port.host != 0) port.host = static_cast<std::uint16_t>(port.host + place);
    return spec;
  }

  void launch(const Wanted& wanted, const std::vector<Instance>& there) {
    const auto missing = wanted.group.count - std::ssize(there);
    if (dry_run_) {
      for (auto i = missing; i > 0; --i) done_.push_back({wanted.spec.name, wanted.group.name, "launched"});
      return;
    }
    const bool is_given =
        std::ranges::any_of(wanted.spec.ports, [](const PortForward& port) { return port.host != 0; });
    if (there.empty() || !is_given) {
      LaunchSpec spec = wanted.spec;
      spec.count = static_cast<unsigned>(missing);
      return launch(wanted.group, spec);
    }
    std::set<std::int64_t> taken;
    for (const Instance& instance : there) taken.insert(place_of(instance, wanted));
    for (std::int64_t place = 0; place < wanted.group.count; ++place)
      if (!taken.contains(place)) launch(wanted.group, at_place(wanted, place));
  }

  void launch(const engine::FleetGroup& group, const LaunchSpec& spec) {
    for (const Launched& launched : start(spec)) done_.push_back({launched.name, group.name, "launched"});
  }

  std::vector<Launched> start(const LaunchSpec& spec) {
    Activity activity("launching", call_.out.json());
    Launches launches = call_.services.machines().launch(spec, {activity.bytes(), activity.things("instances run")});
    activity.end();
    for (const std::string& warning : launches.warnings) print_warning(warning);
    return std::move(launches.instances);
  }

  Call& call_;
  engine::Fleet fleet_;
  bool dry_run_;
  std::vector<Instance> all_;
  std::vector<Done> done_;
};

void answer(Call& call, const std::string& fleet, const std::vector<Done>& done) {
  const bool dry_run = call.args.has("dry-run");
  const auto is_change = [](const Done& one) { return one.what != "there"; };
  if (call.out.json()) {
    Json all = Json::array();
    for (const Done& one : done)
      all.push_back({{"name", one.name}, {"group", one.group}, {"what", one.what}, {"why", one.why}});
    return call.out.object({{"fleet", fleet},
                            {"instances", all},
                            {"changed", std::any_of(done.begin(), done.end(), is_change)},
                            {"dry_run", dry_run}});
  }
  TextTable table{{"NAME", "GROUP", dry_run ? "WOULD BE" : "IS", ""}};
  for (const Done& one : done) table.rows.push_back({one.name, one.group, one.what, one.why});
  call.out.table(table);
  const auto has = [&](std::string_view what) {
    return std::any_of(done.begin(), done.end(), [&](const Done& one) { return one.what == what; });
  };
  if (has("outdated")) call.out.line("--replace makes the outdated ones anew, which loses what they wrote");
  if (has("surplus")) call.out.line("--prune removes those that are too many");
}

}  // namespace

int apply_fleet(Call& call, const std::filesystem::path& file) {
  const engine::Fleet fleet = engine::read_fleet(file);
  std::filesystem::create_directories(call.services.home().instances());
  // Two at once would both make what is missing.
  const auto lock = FileLock::exclusive(call.services.home().instances() / ".fleets.lock");
  answer(call, fleet.name, Application(call, fleet).run());
  return 0;
}

int run_apply(Call& call) {
  return apply_fleet(call, call.args.text("FILE"));
}

}  // namespace kiln::cli

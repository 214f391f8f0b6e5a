// kiln apply: makes the instances that a fleet's file describes; applied again it changes nothing.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <kiln/text.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/apply.h"
#include "cli/errors.h"
#include "cli/fleet_group.h"
#include "cli/image_answers.h"
#include "cli/output.h"
#include "cli/replacement.h"
#include "cli/rm.h"
#include "cli/services.h"
#include "engine/fleet.h"
#include "process/file_lock.h"

namespace kiln::cli {
namespace {

struct Done {
  std::string name, group;
  /// "there", "started", "launched", "replaced", "removed"; and what is left as it is: "outdated", "surplus", "lost",
  /// "unreachable".
  std::string what;
  std::string why = {};
};

bool is_change(const Done& one) {
  constexpr std::string_view changes[] = {"started", "launched", "replaced", "removed"};
  return std::ranges::find(changes, one.what) != std::end(changes);
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

  /// What it has done until then is in done() also when it throws.
  void run() {
    std::vector<Wanted> wanted;  // all of them first: what is wrong with one is said before anything is done
    for (const engine::FleetGroup& group : fleet_.groups) wanted.push_back(understand(group));
    for (const Instance& instance : all_)
      if (instance.fleet.starts_with(fleet_.name + "/") && !is_described(instance))
        surplus(instance, "no longer described");
    for (const Wanted& group : wanted) apply(group);
  }

  const std::vector<Done>& done() const { return done_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Instances instances() { return call_.services.instances(); }
  bool is_described(const Instance& instance) const {
    return std::ranges::any_of(fleet_.groups,
                               [&](const auto& group) { return instance.fleet == fleet_.name + "/" + group.name; });
  }

  Wanted understand(const engine::FleetGroup& group) const {
    Wanted wanted{group, call_.services.catalog().view().resolve(group.image, Action::launch),
                  spec_of(group, fleet_.name)};
    wanted.spec.overcommit = call_.args.has("overcommit");
    wanted.spec.reference = group.image;
    wanted.spec.image = wanted.image.image.id;
    require_valid(wanted.spec, wanted.image, static_cast<std::size_t>(group.count));
    return wanted;
  }

  void apply(const Wanted& wanted) {
    std::vector<Instance> there;
    for (const Instance& instance : all_)
      if (instance.fleet == wanted.spec.fleet) there.push_back(instance);
    // One that its host has lost is the first to be too many.
    const auto is_kept = [](const Instance& instance) { return instance.state != Instance::State::lost; };
    std::stable_partition(there.begin(), there.end(), is_kept);
    const std::size_t most = std::min(there.size(), static_cast<std::size_t>(wanted.group.count));
    places_.clear();
    for (std::size_t i = most; i < there.size(); ++i)
      if (!surplus(there[i], fmt::format("more than {}", wanted.group.count))) take_place(there[i], wanted);
    there.resize(most);
    for (const Instance& instance : there) take_place(instance, wanted);
    for (const Instance& instance : there) settle(instance, wanted);
    launch_missing(wanted, wanted.group.count - std::ssize(there));
  }

  void settle(const Instance& instance, const Wanted& wanted) {
    const std::string& group = wanted.group.name;
    if (instance.state == Instance::State::unknown) {
      done_.push_back({instance.name, group, "unreachable", instance.reason});
      return;
    }
    const bool is_lost = instance.state == Instance::State::lost;
    const std::string why = is_lost ? instance.reason : why_outdated(instance, wanted);
    if ((is_lost || !why.empty()) && call_.args.has("replace"))
      replace(instance, wanted, why);
    else if (is_lost)
      done_.push_back({instance.name, group, "lost", why});
    else if (instance.state == Instance::State::stopped)
      start_again(instance, group, why);
    else
      done_.push_back({instance.name, group, why.empty() ? "there" : "outdated", why});
  }

  static std::string why_outdated(const Instance& instance, const Wanted& wanted) {
    if (instance.image_id != wanted.image.image.id)
      return fmt::format("of {}, not {}", instance.image, wanted.image.reference());
    return difference(instance, wanted.group, wanted.spec);
  }

  void start_again(const Instance& instance, const std::string& group, const std::string& why) {
    if (!dry_run_) {
      const Activity activity("starting " + instance.name, call_.out.json());
      instances().start(instance.name, call_.services.accelerator(), call_.stop, call_.args.has("overcommit"));
    }
    done_.push_back({instance.name, group, "started", why});
  }

  void replace(const Instance& instance, const Wanted& wanted, const std::string& why) {
    LaunchSpec spec = wanted.spec;
    if (gives_ports(spec)) {
      const auto place = place_of(instance, wanted.group, spec);
      spec = at_place(spec, place ? *place : free_place(wanted));
    }
    spec.name = instance.name;
    if (!dry_run_) {
      Activity activity("preparing " + instance.name, call_.out.json());
      require_replaceable(call_.services, instance, spec, wanted.image, call_.stop);
      activity.end();
      if (!remove(instance, wanted.group.name)) return;
      try {
        launch(wanted, spec);
      } catch (...) {
        done_.push_back({instance.name, wanted.group.name, "removed", "what was to replace it could not be launched"});
        throw;
      }
    }
    warn(warnings_of(wanted.image, call_.services.catalog().view().account().name));
    done_.push_back({instance.name, wanted.group.name, "replaced", why});
  }

  /// False: its host does not answer, and it stays.
  bool remove(const Instance& instance, const std::string& group) {
    const Activity activity("removing " + instance.name, call_.out.json());
    // It may have fallen silent since it was asked first, and what it has would be given up.
    const Instance now = instances().get(instance.name);
    if (now.state == Instance::State::unknown) {
      done_.push_back({instance.name, group, "unreachable", now.reason});
      return false;
    }
    if (const auto given_up = instances().remove(instance.name, true))
      warn({fmt::format("what the host of {} has of it stays there: {}", instance.name, given_up->what())});
    return true;
  }

  /// Whether it is gone, or would be.
  bool surplus(const Instance& instance, const std::string& why) {
    const std::string group = instance.fleet.substr(fleet_.name.size() + 1);
    const bool prune = call_.args.has("prune");
    if (prune && instance.state == Instance::State::unknown) {
      done_.push_back({instance.name, group, "unreachable", instance.reason});
      return false;
    }
    if (prune && !dry_run_ && !remove(instance, group)) return false;
    done_.push_back({instance.name, group, prune ? "removed" : "surplus", why});
    return prune;
  }

  void take_place(const Instance& instance, const Wanted& wanted) {
    if (const auto place = place_of(instance, wanted.group, wanted.spec)) places_.insert(*place);
  }

  /// The lowest, which is taken then.
  std::int64_t free_place(const Wanted& wanted) {
    for (std::int64_t place = 0; place < wanted.group.count; ++place)
      if (places_.insert(place).second) return place;
    throw Error(fmt::format("the ports of \"{}\" are those of instances that are too many", wanted.group.name),
                "--prune removes them");
  }

  void launch_missing(const Wanted& wanted, std::int64_t missing) {
    if (missing <= 0) return;
    std::vector<LaunchSpec> specs;
    if (places_.empty() || !gives_ports(wanted.spec)) {
      specs.push_back(wanted.spec);
      specs.back().count = static_cast<unsigned>(missing);
    } else {
      while (std::ssize(specs) < missing) specs.push_back(at_place(wanted.spec, free_place(wanted)));
    }
    for (const LaunchSpec& spec : specs) {
      std::vector<std::string> names(spec.count, spec.name);
      if (!dry_run_) names = launch(wanted, spec);
      for (const std::string& name : names) done_.push_back({name, wanted.group.name, "launched"});
    }
    warn(warnings_of(wanted.image, call_.services.catalog().view().account().name));
  }

  /// Their names.
  std::vector<std::string> launch(const Wanted& wanted, const LaunchSpec& spec) {
    Activity activity("launching " + wanted.group.name, call_.out.json());
    const Launches launches =
        call_.services.machines().launch(spec, {activity.bytes(), activity.things("instances run")});
    activity.end();
    warn(launches.warnings);
    std::vector<std::string> names;
    for (const Launched& launched : launches.instances) names.push_back(launched.name);
    return names;
  }

  /// Once, however many instances it is about.
  void warn(const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings)
      if (std::ranges::find(warnings_, warning) == warnings_.end()) warnings_.push_back(warning);
  }

  Call& call_;
  engine::Fleet fleet_;
  bool dry_run_;
  std::vector<Instance> all_;
  std::set<std::int64_t> places_;  ///< of the group that is being worked on, which are taken
  std::vector<Done> done_;
  std::vector<std::string> warnings_;
};

/// `complete`: nothing has failed.
void answer(Call& call, const std::string& fleet, const Application& application, bool complete) {
  const std::vector<Done>& done = application.done();
  const bool dry_run = call.args.has("dry-run");
  if (call.out.json()) {
    Json all = Json::array();
    for (const Done& one : done)
      all.push_back({{"name", one.name}, {"group", one.group}, {"what", one.what}, {"why", one.why}});
    return call.out.object({{"fleet", fleet},
                            {"instances", all},
                            {"changed", std::ranges::any_of(done, is_change)},
                            {"complete", complete},
                            {"dry_run", dry_run},
                            {"warnings", application.warnings()}});
  }
  for (const std::string& warning : application.warnings()) print_warning(warning);
  TextTable table{{"NAME", "GROUP", dry_run ? "WOULD BE" : "IS", ""}};
  for (const Done& one : done) table.rows.push_back({one.name, one.group, one.what, printable(one.why)});
  call.out.table(table);
  const auto has = [&](std::string_view what) { return std::ranges::find(done, what, &Done::what) != done.end(); };
  if (has("outdated")) call.out.line("--replace makes the outdated ones anew, which loses what they wrote");
  if (has("lost")) call.out.line("--replace launches those anew that their host has lost");
  if (has("surplus")) call.out.line("--prune removes those that are too many");
  if (has("unreachable")) call.out.line("what cannot be reached stays as it is until its host answers again");
}

/// Says what was done also when it cannot be ended.
void apply(Call& call, const engine::Fleet& fleet) {
  Application application(call, fleet);
  const auto has_changed = [&] { return std::ranges::any_of(application.done(), is_change); };
  const auto tell_of_removals = [&] {
    const auto is_removal = [](const Done& one) { return one.what == "removed"; };
    if (!call.args.has("dry-run") && std::ranges::any_of(application.done(), is_removal)) tell_catalog(call.services);
  };
  try {
    application.run();
  } catch (...) {
    if (has_changed()) answer(call, fleet.name, application, false);
    tell_of_removals();
    throw;
  }
  answer(call, fleet.name, application, true);
  call.out.flush();
  tell_of_removals();
}

}  // namespace

int apply_fleet(Call& call, const std::filesystem::path& file) {
  const engine::Fleet fleet = engine::read_fleet(file);
  std::filesystem::create_directories(call.services.home().instances());
  // Two at once would both make what is missing.
  const auto lock = FileLock::exclusive(call.services.home().instances() / ".fleets.lock");
  apply(call, fleet);
  return 0;
}

int run_apply(Call& call) {
  return apply_fleet(call, call.args.text("FILE"));
}

}  // namespace kiln::cli

// kiln launch: starts machines from an image and leaves them running.
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/admission.h"
#include "cli/apply.h"
#include "cli/errors.h"
#include "cli/image_answers.h"
#include "cli/launch_spec.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "machine/host_room.h"

namespace kiln::cli {
namespace {

/// "alice/web:1, made by alice from vendor.vhd, signed by release (3f2a…), good"
std::string origin_of(const ImageEntry& entry, const std::vector<CheckedSignature>& signatures) {
  std::string text = fmt::format("{}, made by {}", full_reference(entry), entry.owner);
  if (const std::string source = source_text(entry); !source.empty()) text += " from " + source;
  if (signatures.empty()) text += ", signed by nobody";
  for (const CheckedSignature& one : signatures) text += ", signed by " + signature_text(one);
  return text;
}

Json json_of(const Launched& launched) {
  Json ports = Json::array();
  for (const PortForward& port : launched.ports) ports.push_back({{"host", port.host}, {"guest", port.guest}});
  return {{"name", launched.name},
          {"pid", launched.pid == 0 ? Json(nullptr) : Json(launched.pid)},
          {"serial_log", launched.serial_log.empty() ? Json(nullptr) : Json(launched.serial_log.string())},
          {"ports", ports},
          {"sent", launched.sent},
          {"was_there", launched.was_there}};
}

/// "pid 123, accelerator tcg", or where it is.
std::string place_of(const Launched& launched, const Instance& instance) {
  if (instance.driver != "qemu") {
    const std::string sent = launched.sent == 0 ? "the image was there" : format_bytes(launched.sent) + " sent";
    return fmt::format("on {}, {}, accelerator {}", instance.connect, sent, instance.accelerator);
  }
  return launched.pid == 0 ? "stopped" : fmt::format("pid {}, accelerator {}", launched.pid, instance.accelerator);
}

std::string line_of(const Launched& launched, const Instance& instance) {
  std::string text = launched.name + "  " + place_of(launched, instance);
  for (const PortForward& port : launched.ports) text += fmt::format(", port {} leads to {}", port.host, port.guest);
  return launched.was_there ? text + ", was there" : text;
}

std::string next_step(const Launched& first, bool stopped) {
  return stopped ? "start it with: kiln start " + first.name : "see it start with: kiln console " + first.name;
}

/// Waiting makes no room for a machine that is too large for the host, whatever else ends there.
void require_room_one_day(const std::vector<Instance>& all, const Hardware& each) {
  require_room(room_when_idle(all), each, 1,
               "ask for smaller ones, end other programs, or say --overcommit instead of --queue");
}

/// Returns when it runs. Throws what keeps it from starting, which is not that others have the room.
void start_when_there_is_room(Call& call, const std::string& name) {
  const Instances instances = call.services.instances();
  for (bool has_failed = false;;) {
    for (int tries = 1; !instances.has_room_for(name); ++tries) {
      if (call.stop.stop_requested()) throw cancelled();
      const auto all = instances.everybodys();
      // The memory of a machine that ended comes back little by little.
      const bool is_idle =
          std::ranges::none_of(all, [](const Instance& i) { return i.state == Instance::State::running; });
      if (!is_idle) tries = 0;
      if (tries >= 20) require_room_one_day(all, instances.get(name).hardware);
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
    try {
      instances.start(name, call.services.accelerator(), call.stop);
      return;
    } catch (const Error& error) {
      // Another kiln may have been faster: then there is no room again, or was none for a moment.
      if (is_cancelled(error)) throw;
      const bool has_room = instances.has_room_for(name);
      if (has_room && has_failed) throw;
      has_failed = has_room;
    }
  }
}

/// The same failure, which also says what is there and does not run.
Error with_stopped(const Error& error, const Instances& all, const std::vector<Launched>& instances) {
  std::vector<std::string> evidence = error.evidence(), stopped;
  for (const Launched& launched : instances)
    if (all.get(launched.name).state == Instance::State::stopped) stopped.push_back(launched.name);
  if (stopped.empty()) return error;
  evidence.push_back(fmt::format("made, and stopped: {}", fmt::join(stopped, ", ")));
  const std::string hint = fmt::format("{}kiln start {} starts one of them, kiln rm {} removes it",
                                       error.hint().empty() ? "" : error.hint() + "; ", stopped[0], stopped[0]);
  return Error(error.what(), hint, evidence, error.failure());
}

/// One by one, as there is room for each. Those that an earlier launch had started are left as they are.
void start_as_room_comes(Call& call, std::vector<Launched>& instances, Activity& activity) {
  const Instances all = call.services.instances();
  const auto told = activity.things("as the host has room");
  try {
    for (std::size_t i = 0; i < instances.size(); ++i) {
      told(i, instances.size());
      if (all.get(instances[i].name).process.pid != 0) continue;
      start_when_there_is_room(call, instances[i].name);
      instances[i].pid = all.get(instances[i].name).process.pid;
    }
  } catch (const Error& error) {
    throw with_stopped(error, all, instances);
  }
}

void answer(Call& call, const ImageEntry& entry, const LaunchSpec& spec, const Launches& launches,
            const std::vector<CheckedSignature>& signatures) {
  const bool stopped = spec.stopped && launches.instances.front().pid == 0;
  if (call.out.json()) {
    Json all = Json::array();
    for (const Launched& launched : launches.instances) all.push_back(json_of(launched));
    Json object = launches.instances.size() == 1 ? all.front() : Json::object();
    object.update({{"instances", all},
                   {"driver", spec.driver},
                   {"image", entry.reference()},
                   {"image_owner", entry.owner},
                   {"image_source", source_json(entry)},
                   {"image_signatures", signatures_json(signatures)},
                   {"warnings", launches.warnings}});
    return call.out.object(object);
  }
  for (const std::string& warning : launches.warnings) print_warning(warning);
  if (entry.owner != call.services.catalog().view().account().name)
    call.out.line(printable(origin_of(entry, signatures)));
  const std::vector<Instance> instances = call.services.instances().list();
  for (const Launched& launched : launches.instances) {
    const auto record = std::ranges::find(instances, launched.name, &Instance::name);
    if (record != instances.end()) call.out.line(line_of(launched, *record));
  }
  call.out.line(next_step(launches.instances.front(), stopped));
}

/// What the instances are of when all were there: the image that the reference meant when they were launched.
std::optional<ImageEntry> image_of_earlier(Call& call, const CatalogView& view, const Launches& launches) {
  if (!std::ranges::all_of(launches.instances, &Launched::was_there)) return std::nullopt;
  return view.find_id(call.services.instances().get(launches.instances.front().name).image_id);
}

int launch(Call& call, LaunchSpec spec, bool queue) {
  const Args& args = call.args;
  if (queue && spec.resume) throw invalid("--queue and --resume do not go together", "give one of them");
  if (queue && spec.stopped) throw invalid("--queue starts the instances, and --stopped does not", "give one of them");
  if (queue && spec.overcommit)
    throw invalid("--queue waits for room, and --overcommit needs none", "give one of them");
  if (queue && spec.driver != "qemu") throw invalid("--queue is for instances of this host", "leave it out");
  if (args.has("accel")) spec.accelerator = call.services.accelerator().name;  // a wrong one is said first

  const CatalogView view = call.services.catalog().view();
  ImageEntry entry = view.resolve(args.text("IMAGE"), Action::launch);
  spec.reference = args.text("IMAGE");
  spec.image = entry.image.id;  // what is said of it below is said of what is launched
  spec.stopped = spec.stopped || queue;
  if (queue) require_room_one_day(call.services.instances().everybodys(), hardware_for(spec, entry.image.facts));
  Activity activity("launching", call.out.json());
  Launches launches = call.services.machines().launch(
      spec, {activity.bytes(), activity.things("instances run"), activity.things("disks personalised")});
  if (queue) start_as_room_comes(call, launches.instances, activity);
  activity.end();
  if (auto earlier = image_of_earlier(call, view, launches)) entry = std::move(*earlier);
  const auto warnings = warnings_of(entry, view.account().name);
  launches.warnings.insert(launches.warnings.begin(), warnings.begin(), warnings.end());
  answer(call, entry, spec, launches, signatures_of(call.services.home(), view, entry));
  return 0;
}

/// The file says all of it.
int launch_fleet(Call& call) {
  for (const char* option : {"name", "count", "memory", "cpus", "port", "ssh-key", "user-data", "disk-size", "disk-bus",
                             "nic", "network", "firmware", "token", "stopped", "resume", "queue", "driver", "connect"})
    if (call.args.has(option))
      throw invalid(fmt::format("--{} and --from-file do not go together", option),
                    "write it into the file: see README.md for an example");
  return apply_fleet(call, call.args.text("from-file"));
}

}  // namespace

int run_launch(Call& call) {
  const Args& args = call.args;
  if (args.has("IMAGE") == args.has("from-file"))
    throw invalid("kiln launch takes an image, or a fleet's file", "kiln launch NAME, or kiln launch --from-file FILE");
  if (args.has("from-file")) return launch_fleet(call);
  LaunchSpec spec = launch_spec(args);
  spec.resume = args.has("resume");
  return launch(call, std::move(spec), args.has("queue"));
}

int run_clone(Call& call) {
  LaunchSpec spec = launch_spec(call.args);
  spec.personalise = true;
  return launch(call, std::move(spec), call.args.has("queue"));
}

}  // namespace kiln::cli

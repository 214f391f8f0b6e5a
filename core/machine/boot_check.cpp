#include "machine/boot_check.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "machine/attend.h"
#include "machine/ending.h"
#include "machine/qemu.h"
#include "machine/seed.h"
#include "machine/serial.h"
#include "process/process.h"
#include "qmp/guest_agent.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

MachineSpec machine_of(const BootSpec& spec, const Accelerator& accelerator) {
  MachineSpec machine;
  machine.name = "boot";
  machine.accelerator = accelerator.name;
  machine.hardware.firmware = spec.firmware;
  machine.hardware.memory = spec.memory;
  machine.hardware.cpus = spec.cpus;
  machine.disk_size = spec.disk_size;
  machine.base = {std::filesystem::absolute(spec.disk), spec.format};
  machine.seed = true;
  machine.throw_away = true;
  machine.hardware.isolated = true;
  return machine;
}

/// Waits a moment for the end of the machine's QEMU.
using AwaitEnd = std::function<std::optional<Exit>(Duration)>;

/// One boot, from start to verdict.
class BootCheck {
 public:
  BootCheck(const BootSpec& spec, AwaitEnd qemu_ends, std::stop_token stop)
      : spec_(spec),
        stop_(std::move(stop)),
        serial_(spec.expect),
        log_(spec.folder / machine_file::serial_log),
        qemu_ends_(std::move(qemu_ends)) {}

  void wait(const BootProgress& progress) {
    auto told = start_;
    while (!seen_all()) {
      if (stop_.stop_requested()) throw cancelled();
      const auto exit = qemu_ends_(20ms);
      while (read_serial()) continue;
      if (seen_all()) return;
      if (exit) throw ended(*exit);
      if (elapsed() >= spec_.timeout) throw ran_out();
      give_up_when_it_is_over();
      ask_agent();
      if (progress && Clock::now() - told >= 250ms) {
        told = Clock::now();
        progress(elapsed(), serial_.last_line());
      }
    }
  }

  Duration elapsed() const { return std::chrono::duration_cast<Duration>(Clock::now() - start_); }
  const std::string& matched() const { return serial_.found_line(); }

 private:
  bool seen_all() const { return (spec_.expect.empty() || serial_.found()) && (!spec_.agent || agent_answered_); }

  bool read_serial() {
    const std::string bytes = log_.next();
    serial_.feed(bytes);
    return !bytes.empty();
  }

  void ask_agent() {
    if (!spec_.agent || agent_answered_ || Clock::now() - asked_ < 1s) return;
    asked_ = Clock::now();
    try {
      if (!agent_) agent_ = GuestAgent::connect(spec_.folder / machine_file::agent, 100ms, stop_);
      agent_answered_ = agent_->ping(200ms);
    } catch (const Error& e) {
      if (is_cancelled(e)) throw;
      agent_.reset();  // QEMU is still coming up, or is gone: the next round tells
    }
  }

  /// A known end of a boot is given two seconds to say the rest (a panic's trace), then time is not wasted on it.
  void give_up_when_it_is_over() {
    const BootProblem problem = explain_boot(serial_);
    if (!problem.final) {
      over_.reset();
    } else if (!over_) {
      over_ = Clock::now();
    } else if (Clock::now() - *over_ >= 2s) {
      throw Error(problem.fact + " (" + format_duration(elapsed()) + " after start)", problem.hint, evidence());
    }
  }

  std::string awaited() const {
    if (!spec_.expect.empty() && !serial_.found()) return "\"" + spec_.expect + "\"";
    return "the guest agent";
  }

  Error ended(const Exit& exit) const {
    const std::string when = " " + format_duration(elapsed()) + " after start";
    if (exit.ok())
      return Error("the machine shut itself down" + when + ", before " + awaited() + " was seen",
                   "wait for a text that it writes", evidence());
    const bool never_ran = serial_.lines() == 0;
    return Error("qemu " + describe(exit) + when, never_ran ? "qemu's own words are above" : explain_boot(serial_).hint,
                 evidence());
  }

  Error ran_out() const {
    const BootProblem problem = explain_boot(serial_);
    return Error(awaited() + " was not seen within " + format_duration(spec_.timeout), problem.hint, evidence());
  }

  /// The serial console's last lines, or QEMU's own when the guest never wrote one.
  std::vector<std::string> evidence() const {
    std::vector<std::string> lines = serial_.tail();
    while (!lines.empty() && lines.front().empty()) lines.erase(lines.begin());
    if (!lines.empty()) {
      lines.insert(lines.begin(),
                   "last of " + std::to_string(std::max<std::uint64_t>(serial_.lines(), 1)) + " serial lines:");
      return lines;
    }
    return last_words(spec_.folder / machine_file::qemu_log);
  }

  const BootSpec& spec_;
  std::stop_token stop_;
  SerialWatch serial_;
  LogTail log_;
  const Clock::time_point start_ = Clock::now();
  AwaitEnd qemu_ends_;
  std::optional<GuestAgent> agent_;
  bool agent_answered_ = false;
  Clock::time_point asked_ = start_;
  std::optional<Clock::time_point> over_;
};

void require_sign(const BootSpec& spec) {
  if (spec.expect.empty() && !spec.agent)
    throw invalid("a boot has nothing to wait for", "give a text to expect, or agent = true");
}

}  // namespace

BootReport boot_check(const BootSpec& spec, const Accelerator& accelerator, std::stop_token stop,
                      const BootProgress& progress) {
  require_sign(spec);
  const MachineSpec machine = machine_of(spec, accelerator);
  // Without a seed cloud-init asks every metadata service it knows, for minutes, in a network that has none.
  write_seed(spec.folder / machine_file::seed, {"iid-boot-check", {}, {}, {}});
  prepare_folder(spec.folder, machine);
  Child qemu =
      Child::start({"qemu-system-x86_64", qemu_arguments(machine)}, spec.folder / machine_file::qemu_log, spec.folder);
  BootCheck check(
      spec, [&](Duration moment) { return qemu.wait(moment); }, std::move(stop));
  check.wait(progress);
  return {check.elapsed(), accelerator.name, check.matched()};
}

BootReport watch_boot(const Instance& instance, BootSpec signs, std::stop_token stop, const BootProgress& progress) {
  require_sign(signs);
  signs.folder = instance.folder;
  const auto ends = [&](Duration moment) -> std::optional<Exit> {
    if (!wait_gone(instance.process, moment)) return std::nullopt;
    Attendant(instance.process).wait();
    const auto ending = read_ending(instance);
    return ending ? ending->exit : Exit{};
  };
  BootCheck check(signs, ends, std::move(stop));
  check.wait(progress);
  return {check.elapsed(), instance.accelerator, check.matched()};
}

}  // namespace kiln

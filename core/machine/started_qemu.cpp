#include "machine/started_qemu.h"

#include <csignal>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "machine/memory_state.h"
#include "machine/serial.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Error did_not_start(const std::filesystem::path& folder) {
  return Error("qemu did not start", "its own words are above", last_words(folder / machine_file::qemu_log));
}

/// QEMU wants to find it there. It ends with QEMU's connection.
std::optional<ProcessId> start_tpm(const std::filesystem::path& folder, const MachineSpec& machine) {
  const auto command = tpm_command(machine);
  if (!command) return std::nullopt;
  const auto socket = folder / machine_file::tpm;
  std::filesystem::remove(socket);
  const pid_t pid = start_daemon(*command, folder / machine_file::qemu_log, folder);
  for (int tries = 0; !std::filesystem::exists(socket); ++tries) {
    const auto process = identify(pid);
    if (tries == 500 && process) signal_process(*process, SIGKILL);
    if (tries == 500 || !process) throw did_not_start(folder);
    std::this_thread::sleep_for(10ms);
  }
  return identify(pid);
}

}  // namespace

MachineSpec machine_of(const Instance& instance) {
  MachineSpec machine;
  machine.name = instance.name;
  machine.accelerator = instance.accelerator;
  machine.hardware = instance.hardware;
  machine.uuid = instance.uuid;
  machine.mac = instance.mac;
  machine.disk_size = instance.disk_size;
  machine.base = instance.base;
  machine.data = instance.data;
  machine.seed = true;
  machine.screen = true;
  machine.ports = instance.ports;
  return machine;
}

void end_unrecorded(const Instance& instance, const std::stop_token& stop) {
  const auto socket = instance.folder / machine_file::qmp;
  if (!is_listened_to(socket)) return;  // nobody is there, as it should be
  try {
    Qmp::connect(socket, 10s, stop).execute("quit", 5s);
    for (const auto until = Clock::now() + 30s; is_listened_to(socket); std::this_thread::sleep_for(20ms))
      if (Clock::now() >= until) throw Error("it does not end");
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    if (!is_listened_to(socket)) return;  // it has ended meanwhile
    throw Error(
        "a qemu has the disk of instance \"" + instance.name + "\" that nobody recorded, and it does not answer",
        "end it: fuser -k " + socket.string());
  }
}

StartedQemu::StartedQemu(std::filesystem::path folder, const MachineSpec& machine)
    : folder_(std::move(folder)), tpm_(start_tpm(folder_, machine)) {
  try {
    process_ = identify(start_attended(folder_, machine.name, qemu_arguments(machine)).value_or(0));
    if (!process_) throw did_not_start(folder_);
    attendant_.emplace(*process_);
  } catch (...) {
    if (tpm_) signal_process(*tpm_, SIGKILL);  // nobody will connect to it
    throw;
  }
}

StartedQemu::~StartedQemu() {
  if (kept_) return;
  if (signal_process(*process_, SIGKILL)) wait_gone(*process_, 10s);
  if (tpm_) signal_process(*tpm_, SIGKILL);
  attendant_->wait();
}

void StartedQemu::go_on_from_memory(const std::stop_token& stop) const {
  const auto until = Clock::now() + 30s;
  for (;;) {
    if (wait_gone(*process_, 10ms)) throw did_not_start(folder_);
    if (std::filesystem::exists(folder_ / machine_file::qmp) || Clock::now() >= until) break;
  }
  {
    Qmp qmp = Qmp::connect(folder_ / machine_file::qmp, 30s, stop);
    load_memory(qmp, folder_, machine_file::memory);
    qmp.execute("cont", 60s);
  }
  wait_until_it_runs(stop);
}

void StartedQemu::wait_until_it_runs(const std::stop_token& stop) const {
  const auto until = Clock::now() + 30s;
  for (;;) {
    if (wait_gone(*process_, 10ms)) throw did_not_start(folder_);
    if (stop.stop_requested()) throw cancelled();
    const bool last = Clock::now() >= until;
    try {
      Qmp qmp = Qmp::connect(folder_ / machine_file::qmp, 200ms, stop);
      const auto status = qmp.execute("query-status");
      if (status.value("running", false)) return;
      if (last)
        throw Error("qemu did not run the machine within 30 s: it is \"" + status.value("status", "") + "\"",
                    "is the host's disk full, or the host out of memory?");
    } catch (const Error& e) {
      if (is_cancelled(e) || last) throw;
    }
  }
}

}  // namespace kiln

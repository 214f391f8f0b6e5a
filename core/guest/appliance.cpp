#include "guest/appliance.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include <kiln/text.h>

#include "guest/sandboxed_hv.h"
#include "guest/session.h"
#include "guest/text.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

/// Beside the sockets of the daemon that has the disk: of these the machine sees the disk's only.
constexpr char machine_folder[] = "m";
constexpr std::size_t console_kept = 16 * 1024;
constexpr std::uint64_t transfer_worth_showing = 16u << 20;

/// Whether the process hears SIGTERM. QEMU does when its disks are open.
bool catches_sigterm(const std::filesystem::path& process) {
  std::ifstream file(process / "status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
  return true;  // it has ended
}

/// Until QEMU has opened its disks it has a temporary file that nobody else would remove.
void wait_until_open(const std::filesystem::path& process) {
  using namespace std::chrono_literals;
  for (auto waited = 0ms; waited < 3s && !catches_sigterm(process); waited += 10ms) std::this_thread::sleep_for(10ms);
}

/// Kills the process whose command line holds `argument`. libguestfs tells a machine's process only once it is up, and
/// nobody who wants to stop waits for that.
void kill_by_argument(const std::string& argument, bool sandboxed) noexcept try {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::string words(64 * 1024, '\0');
    file.read(words.data(), static_cast<std::streamsize>(words.size()));
    if (words.find(argument) == std::string::npos) continue;
    if (!sandboxed) wait_until_open(entry.path());  // in a sandbox that file is in memory of its own
    ::kill(std::stoi(name), SIGKILL);
  }
} catch (const std::exception&) {
  // A process that ended while we looked. The start goes on and is cancelled at its end.
}

guestfs_h* make_handle() {
  guestfs_h* handle = guestfs_create();
  if (handle == nullptr) throw Error("libguestfs cannot make a handle", "is the host out of memory?");
  guestfs_set_error_handler(handle, nullptr, nullptr);
  return handle;
}

}  // namespace

Appliance::Appliance(const ApplianceOptions& options, const Listener& listener)
    : listener_(listener),
      stop_(options.stop),
      handle_(make_handle()),
      sandboxed_(options.sandboxed),
      drive_argument_("nbd:unix:" + option_value(options.drive_socket.string())),
      events_socket_(options.drive_socket.parent_path() / machine_folder / "qmp"),
      on_stop_(options.stop, [this] { kill(); }) {
  try {
    configure(options);
    launch();
  } catch (...) {
    kill();
    guestfs_close(handle_);
    throw;
  }
}

Appliance::~Appliance() {
  kill();
  guestfs_close(handle_);
}

void Appliance::configure(const ApplianceOptions& options) {
  // A trace would carry what is written to files, passwords among it.
  guestfs_set_trace(handle_, 0);
  guestfs_set_pgroup(handle_, 1);  // the terminal's SIGINT is kiln's to handle
  const std::uint64_t events =
      GUESTFS_EVENT_APPLIANCE | GUESTFS_EVENT_LIBRARY | GUESTFS_EVENT_WARNING | GUESTFS_EVENT_PROGRESS;
  if (guestfs_set_event_callback(handle_, &Appliance::on_event, events, 0, this) == -1) fail("cannot hear libguestfs");
  check(guestfs_set_tmpdir(handle_, options.folder.c_str()), "cannot choose a folder for temporary files");
  check(guestfs_set_backend(handle_, "direct"), "cannot choose the backend");
  if (options.force_tcg) check(guestfs_set_backend_setting(handle_, "force_tcg", "1"), "cannot choose the accelerator");
  check(guestfs_set_memsize(handle_, static_cast<int>(options.memory_mib)), "cannot set the appliance's memory");
  check(guestfs_set_smp(handle_, static_cast<int>(options.cpus)), "cannot set the appliance's processors");
  check(guestfs_set_network(handle_, 0), "cannot switch the network off");

  // The kernel trims no run of free blocks shorter than this, and small file systems have blocks of 1 KiB.
  check(guestfs_config(handle_, "-global", "scsi-hd.discard_granularity=512"), "cannot describe the disk");
  check(guestfs_config(handle_, "-global", "scsi-hd.werror=stop"), "cannot describe the disk");
  std::filesystem::create_directory(events_socket_.parent_path());
  check(guestfs_config(handle_, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        "cannot confine the appliance's machine");
  check(guestfs_config(handle_, "-qmp",
                       ("unix:" + option_value(events_socket_.string()) + ",server=on,wait=off").c_str()),
        "cannot listen to the appliance's machine");

  // Before the drives: what libguestfs finds of the QEMU decides how they are attached.
  if (options.sandboxed) confine(options);
  attach(options.drive_socket);
  if (!options.second_socket.empty()) attach(options.second_socket);
}

void Appliance::confine(const ApplianceOptions& options) {
  namespace fs = std::filesystem;
  HvOptions hv{.readable = {options.drive_socket},
               .writable = events_socket_.parent_path(),
               .kvm = !options.force_tcg,
               .memory_mib = options.memory_mib};
  if (!options.second_socket.empty()) hv.readable.push_back(options.second_socket);
  // The appliance that libguestfs builds, and where one that was built before may be (guestfs(3): "PATH").
  const fs::path cache = text(guestfs_get_cachedir(handle_), "cannot find the appliance's folder");
  hv.readable.push_back(cache / (".guestfs-" + std::to_string(::geteuid())));
  const char* path = guestfs_get_path(handle_);
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (folder.starts_with('/') && !folder.starts_with("/usr/")) hv.readable.emplace_back(folder);
  const fs::path script = options.folder / "hv";
  write_hv(script, text(guestfs_get_hv(handle_), "cannot find QEMU"), hv);
  check(guestfs_set_hv(handle_, script.c_str()), "cannot choose the appliance's QEMU");
}

void Appliance::attach(const std::filesystem::path& socket) {
  const std::string server = "unix:" + socket.string();
  std::array<char*, 2> servers{const_cast<char*>(server.c_str()), nullptr};
  struct guestfs_add_drive_opts_argv drive {};
  drive.bitmask = GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK | GUESTFS_ADD_DRIVE_OPTS_PROTOCOL_BITMASK |
                  GUESTFS_ADD_DRIVE_OPTS_SERVER_BITMASK | GUESTFS_ADD_DRIVE_OPTS_CACHEMODE_BITMASK |
                  GUESTFS_ADD_DRIVE_OPTS_DISCARD_BITMASK;
  drive.format = "raw";
  drive.protocol = "nbd";
  drive.server = servers.data();
  drive.cachemode = "unsafe";  // nothing is cached on this side; the export is flushed when a layer ends
  drive.discard = "enable";
  check(guestfs_add_drive_opts_argv(handle_, "", &drive), "cannot attach the disk");
}

void Appliance::launch() {
  const auto started = std::chrono::steady_clock::now();
  if (listener_.progress) listener_.progress({Progress::Unit::fraction, 0, 0, "starting the appliance"});
  launching_ = true;
  if (guestfs_launch(handle_) == -1) fail_to_start();
  launching_ = false;
  machine_ = guestfs_get_pid(handle_);
  if (stop_.stop_requested()) throw cancelled();
  Qmp machine = Qmp::connect(events_socket_, std::chrono::seconds(30), stop_);
  if (machine.execute("query-status").value("status", "") == "io-error") disk_failed("an I/O error");
  disk_watch_ = std::jthread([this, machine = std::move(machine)]() mutable { watch_disk(std::move(machine)); });
  launch_time_ = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - started);
  const std::string up = "appliance up " + format_duration(launch_time_);
  if (listener_.log) listener_.log(up);
  if (listener_.progress) listener_.progress({Progress::Unit::fraction, 0, 0, up});
}

void Appliance::shutdown() {
  machine_ = 0;  // from here on the process is libguestfs' to reap
  check(guestfs_shutdown(handle_), "cannot shut the appliance down");
}

void Appliance::watch_disk(Qmp machine) try {
  for (;;) {
    const auto event = machine.wait_event("BLOCK_IO_ERROR", std::chrono::hours(24 * 365));
    if (!event) return;
    const auto& data = event->at("data");
    // What did not stop the machine was told to its kernel, and comes as the error of the call.
    if (data.value("action", "") == "stop")
      return disk_failed(data.value("nospace", false) ? "no space left on the host's disk"
                                                      : data.value("reason", "an I/O error"));
  }
} catch (const std::exception&) {
  // the machine has ended, or the appliance is being closed
}

void Appliance::disk_failed(const std::string& reason) {
  {
    const std::lock_guard lock(disk_mutex_);
    disk_error_ = reason;
  }
  kill_by_argument(drive_argument_, sandboxed_);
}

void Appliance::kill() noexcept {
  const pid_t machine = machine_.exchange(0);
  if (machine > 0)
    ::kill(machine, SIGKILL);
  else if (launching_)
    kill_by_argument(drive_argument_, sandboxed_);
}

void Appliance::on_event(guestfs_h*, void* self, std::uint64_t event, int, int, const char* buffer, std::size_t length,
                         const std::uint64_t* array, std::size_t array_length) {
  static_cast<Appliance*>(self)->hear(event, {buffer, length}, array, array_length);
}

// Called by C code: nothing may be thrown through it.
void Appliance::hear(std::uint64_t event, std::string_view text, const std::uint64_t* array,
                     std::size_t array_length) try {
  if (event == GUESTFS_EVENT_PROGRESS) {
    // {procedure, serial, position, total}
    if (launching_ || array_length < 4 || array[3] < transfer_worth_showing || !listener_.progress) return;
    listener_.progress(
        {Progress::Unit::bytes, static_cast<double>(array[2]), static_cast<double>(array[3]), "copying"});
    return;
  }
  if (launching_) {
    if (stop_.stop_requested()) kill();
    console_.append(text);
    if (console_.size() > console_kept) console_.erase(0, console_.size() - console_kept);
  }
  if (!listener_.log) return;
  for (const std::string& line : last_lines(text, 1000)) listener_.log("appliance: " + line);
} catch (...) {
  kill();
}

void Appliance::fail_to_start() const {
  if (stop_.stop_requested()) throw cancelled();
  std::vector<std::string> evidence = last_lines(last_error(), 3);
  for (std::string& line : last_lines(console_, 12)) evidence.push_back(std::move(line));
  throw Error("the libguestfs appliance did not start",
              "run kiln doctor: it says which of the accelerator, the kernel's permissions and the memory is at fault",
              std::move(evidence));
}

void Appliance::check(int result, const std::string& what) const {
  if (result == -1) fail(what);
}

bool Appliance::truth(int result, const std::string& what) const {
  check(result, what);
  return result != 0;
}

std::int64_t Appliance::number(std::int64_t result, const std::string& what) const {
  if (result == -1) fail(what);
  return result;
}

std::string Appliance::text(char* owned, const std::string& what) const {
  if (owned == nullptr) fail(what);
  std::string copy(owned);
  std::free(owned);
  return copy;
}

std::vector<std::string> Appliance::list(char** owned, const std::string& what) const {
  if (owned == nullptr) fail(what);
  std::vector<std::string> copy;
  for (char** item = owned; *item != nullptr; ++item) {
    copy.emplace_back(*item);
    std::free(*item);
  }
  std::free(owned);
  return copy;
}

std::string Appliance::last_error() const {
  const char* message = guestfs_last_error(handle_);
  return message == nullptr ? "libguestfs gave no reason" : message;
}

void Appliance::fail(const std::string& what) const {
  if (stop_.stop_requested()) throw cancelled();
  {
    const std::lock_guard lock(disk_mutex_);
    if (!disk_error_.empty())
      throw Error("the guest's disk could not be written: " + disk_error_,
                  disk_error_.starts_with("no space") ? "free some space, or set KILN_HOME to a larger disk"
                                                      : "look at the health of the host's disk",
                  {printable(what)});
  }
  std::vector<std::string> lines = last_lines(last_error());
  const std::string reason = lines.empty() ? "no reason was given" : lines.front();
  if (!lines.empty()) lines.erase(lines.begin());
  throw Error(printable(what) + ": " + reason, {}, std::move(lines));
}

std::string libguestfs_version() {
  guestfs_h* handle = make_handle();
  struct guestfs_version* version = ::guestfs_version(handle);
  std::string text = "unknown";
  if (version != nullptr)
    text =
        std::to_string(version->major) + '.' + std::to_string(version->minor) + '.' + std::to_string(version->release);
  guestfs_free_version(version);
  guestfs_close(handle);
  return text;
}

bool appliance_has(std::string_view package) {
  guestfs_h* handle = make_handle();
  const char* path = guestfs_get_path(handle);
  const std::filesystem::path folder = std::filesystem::path(path == nullptr ? "" : path) / "supermin.d";
  guestfs_close(handle);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (!entry.path().filename().string().starts_with("packages")) continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);)
      if (line == package) return true;
  }
  return false;
}

}  // namespace kiln

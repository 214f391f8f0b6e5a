// The life of a session: start, inspect, move from layer to layer, end. What it does to files is in files.cpp.

#include "guest/session.h"

#include <cstdlib>
#include <system_error>
#include <utility>

#include <kiln/text.h>

#include "guest/state.h"

namespace kiln {
namespace {

/// sun_path holds 107 bytes and a NUL; the longest name that is put into the folder has 10.
constexpr std::size_t socket_folder_limit = 107 - 1 - 10;

}  // namespace

Session::Session(SessionOptions options) : state_(std::make_unique<State>()) {
  state_->listener = {options.log, options.progress};
  state_->options = std::move(options);
}

Session::~Session() {
  state_->end();
}

void Session::listen(std::function<void(std::string_view)> log, std::function<void(const Progress&)> progress) {
  state_->listener = {std::move(log), std::move(progress)};
}

bool Session::launched() const noexcept {
  return state_->appliance != nullptr;
}

Duration Session::launch_time() const noexcept {
  return state_->launch_time;
}

void Session::flush() {
  state_->flush();
}

void Session::move_to(const std::filesystem::path& fresh_overlay) {
  if (state_->closed) throw Error("the guest session is closed");
  if (state_->drive) {
    state_->flush();
    state_->drive->move_to(fresh_overlay);
  }
  state_->options.overlay = fresh_overlay;
}

void Session::exchange(const std::filesystem::path& overlay) {
  if (state_->closed) throw Error("the guest session is closed");
  if (state_->drive) {
    state_->flush();
    state_->drive->exchange(overlay);
  }
  // What the appliance's kernel remembers of the blocks is of the other disk.
  if (state_->appliance)
    state_->appliance->check(guestfs_drop_caches(state_->appliance->handle(), 3), "cannot forget the other disk");
  state_->options.overlay = overlay;
}

void Session::close() {
  if (state_->closed) return;
  try {
    state_->flush();
    if (state_->appliance) state_->appliance->shutdown();
    state_->appliance.reset();
    if (state_->drive) state_->drive->close();
  } catch (...) {
    state_->end();
    throw;
  }
  state_->end();
}

const Facts& Session::os() {
  static const Facts none;
  state_->running();
  state_->inspect();
  return state_->root ? state_->root->facts : none;
}

void Session::State::log(std::string_view line) const {
  if (listener.log) listener.log(line);
}

void Session::State::make_socket_folder() {
  sockets = options.run_dir;
  if (sockets.native().size() <= socket_folder_limit) return;
  std::string name = (std::filesystem::temp_directory_path() / "kiln-guest-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot make a folder for sockets: " + name, errno);
  sockets = name;
  own_sockets = true;
}

Appliance& Session::State::running() {
  if (options.stop.stop_requested()) throw cancelled();
  if (closed) throw Error("the guest session is closed");
  if (appliance) return *appliance;
  if (sockets.empty()) make_socket_folder();
  if (!drive) drive = std::make_unique<Drive>(options.overlay, sockets);
  const ApplianceOptions wanted{.drive_socket = drive->socket(),
                                .folder = std::filesystem::absolute(options.run_dir),
                                .force_tcg = options.force_tcg,
                                .memory_mib = options.memory_mib,
                                .cpus = options.cpus,
                                .stop = options.stop,
                                .sandboxed = options.sandboxed};
  appliance = std::make_unique<Appliance>(wanted, listener);
  launch_time = appliance->launch_time();
  return *appliance;
}

void Session::State::inspect() {
  if (inspected) return;
  if (mounted == Mounted::by_hand)
    throw Error("the disk cannot be inspected while file systems are mounted by hand", "umount them first");
  root = find_root(*appliance);
  inspected = true;
  if (!root) return log("no operating system was found");
  for (const auto& [name, value] : root->facts) log(name + ": " + value);
}

void Session::State::mount_os(bool read_only) {
  Appliance& up = running();
  if (!root) {
    std::vector<std::string> found = up.list(guestfs_list_filesystems(up.handle()), "cannot list the file systems");
    std::vector<std::string> evidence;
    for (std::size_t i = 0; i + 1 < found.size() && evidence.size() < 8; i += 2)
      evidence.push_back(printable(found[i] + "  " + found[i + 1]));
    if (evidence.empty()) evidence.emplace_back("no file system either");
    throw Error("the disk holds no operating system",
                "stages that edit files need one; an empty or a data disk can only be resized, converted and published",
                std::move(evidence));
  }
  mount_root(up, *root, listener.log, read_only);
  mounted = Mounted::root;
}

guestfs_h* Session::State::files() {
  Appliance& up = running();
  if (mounted == Mounted::nothing) {
    inspect();
    mount_os(false);
  }
  return up.handle();
}

void Session::State::flush() {
  if (!appliance) return;
  if (options.stop.stop_requested()) throw cancelled();
  appliance->check(guestfs_umount_all(appliance->handle()), "cannot unmount the guest's file systems");
  mounted = Mounted::nothing;
  appliance->check(guestfs_sync(appliance->handle()), "cannot write the disk out");
}

void Session::State::end() noexcept {
  closed = true;
  appliance.reset();
  drive.reset();
  if (std::error_code ignored; own_sockets) std::filesystem::remove_all(sockets, ignored);
  own_sockets = false;
}

}  // namespace kiln

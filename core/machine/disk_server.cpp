#include "machine/disk_server.h"

#include "machine/qemu.h"
#include "machine/serial.h"
#include "machine/started_qemu.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
constexpr char nbd_name[] = "disk-nbd.sock", monitor_name[] = "disk-qmp.sock", log_name[] = "disk-server.log";

Command command_for(const Instance& instance, std::size_t disk) {
  // In this order: when the monitor is there, everything else is.
  return {"qemu-storage-daemon",
          {"--blockdev", disk_node(machine_of(instance), disk), "--nbd-server",
           "addr.type=unix,addr.path=" + std::string(nbd_name), "--export",
           "type=nbd,id=disk,writable=on,node-name=" + disk_node_name(disk) + ",name=" + DiskServer::export_name,
           "--chardev", "socket,id=control,server=on,wait=off,path=" + std::string(monitor_name), "--monitor",
           "chardev=control"}};
}

FileLock take_turn(const Instance& instance) {
  auto turn = FileLock::try_exclusive(instance.folder / "disk-server.lock");
  if (!turn)
    throw Error("another kiln works on the disks of \"" + instance.name + "\" right now",
                "try again when it has ended");
  return std::move(*turn);
}

}  // namespace

DiskServer::DiskServer(const Instance& instance, std::size_t disk, const std::stop_token& stop)
    : turn_(take_turn(instance)),
      nbd_(instance.folder / nbd_name),
      monitor_(instance.folder / monitor_name),
      log_(instance.folder / log_name),
      daemon_((remove_files(), Child::start(command_for(instance, disk), log_, instance.folder))) {
  wait_until_open(stop);
}

DiskServer::~DiskServer() {
  try {
    daemon_.terminate();
  } catch (const std::exception&) {
    // its destructor kills it
  }
  remove_files();
}

void DiskServer::wait_until_open(const std::stop_token& stop) {
  for (int tries = 0; !std::filesystem::exists(monitor_); ++tries) {
    if (stop.stop_requested()) throw cancelled();
    if (tries == 3000 || daemon_.wait(10ms)) throw did_not_start();
  }
}

Error DiskServer::did_not_start() const {
  return Error("the disk of the instance cannot be opened", "does a QEMU or another kiln have it?", last_words(log_));
}

void DiskServer::remove_files() const {
  std::error_code ignored;
  for (const auto& file : {nbd_, monitor_, log_}) std::filesystem::remove(file, ignored);
}

}  // namespace kiln

#pragma once
// An instance of the small guest that runs, and what its serial shell is told.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "disk/overlay.h"
#include "machine/instances.h"
#include "machine/qemu.h"
#include "qmp/guest_agent.h"
#include "qmp/json_socket.h"
#include "support/disk_size.h"
#include "support/small_guest.h"
#include "support/temp.h"

namespace kiln::test {

/// Launches it with a second disk, /dev/vdb, under TCG and waits until its shell and its agent are there. Ended by the
/// destructor.
class LiveGuest {
 public:
  static constexpr std::uint64_t data_size = 4u << 20;

  LiveGuest() {
    LaunchSpec spec;
    spec.name = "guest";
    spec.memory = Bytes{192u << 20};
    spec.cpus = 1;
    LaunchBase base{.disk = {small_guest(), "qcow2"},
                    .image_id = "img-1",
                    .image = "small:1",
                    .name = "small",
                    .size = disk_size(small_guest())};
    create_empty(home_ / "data.qcow2", data_size);
    base.data = {{{home_ / "data.qcow2", "qcow2"}, data_size}};
    instances_.launch(base, spec, {"tcg", ""});
    wait_for(small_guest_ready);
    if (!agent().ping(std::chrono::seconds(60))) throw std::runtime_error("the guest's agent does not answer");
  }
  ~LiveGuest() {
    for (const Instance& i : instances_.list()) instances_.remove(i.name, true);
  }
  LiveGuest(const LiveGuest&) = delete;
  LiveGuest& operator=(const LiveGuest&) = delete;

  Instance instance() const { return instances_.get("guest"); }
  const Instances& instances() const { return instances_; }
  std::filesystem::path file(const char* name) const { return instance().folder / name; }
  const std::filesystem::path& home() const { return home_.path(); }
  GuestAgent agent() const { return GuestAgent::connect(file(machine_file::agent), std::chrono::seconds(5)); }
  std::string freeze_status() const {
    return agent().execute("guest-fsfreeze-status", std::chrono::seconds(20)).get<std::string>();
  }

  /// Types a line into the root shell of its serial console.
  void type(const std::string& line) const {
    const int fd = connect_unix(file(machine_file::console));
    const std::string text = line + "\n";
    (void)!::write(fd, text.data(), text.size());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // QEMU reads it while somebody is connected
    ::close(fd);
  }
  std::string log() const { return read_text(file(machine_file::serial_log)); }
  void wait_for(const std::string& text, std::size_t after = 0) const {
    for (int i = 0; i < 6000; ++i) {
      if (std::filesystem::exists(file(machine_file::serial_log)) && log().find(text, after) != std::string::npos)
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    throw std::runtime_error("the guest did not say " + text + ":\n" + log());
  }

 private:
  TempDir home_;
  Instances instances_{home_.path()};
};

}  // namespace kiln::test

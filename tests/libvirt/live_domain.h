#pragma once
// A domain that kiln has not made, on a real host: the small guest with its agent, and a raw disk beside its own.

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "support/libvirtd.h"
#include "support/small_guest.h"

namespace kiln::test {

class LiveDomain {
 public:
  static constexpr char name[] = "stranger";
  static constexpr std::uint64_t data_size = 8u << 20;

  /// Up when it returns.
  explicit LiveDomain(const LibvirtHost& host) : host_(host) {
    std::filesystem::copy_file(small_guest(), file("small.qcow2"));
    qemu_img({"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", file("small.qcow2"), file("system.qcow2")});
    std::ofstream(file("data.raw")).close();
    std::filesystem::resize_file(file("data.raw"), data_size);
    std::ofstream(file("serial.log")).close();
    for (const char* one : {"small.qcow2", "system.qcow2", "data.raw", "serial.log"}) give_away(file(one));
    std::ofstream(file("stranger.xml")) << xml();
    host_.virsh({"define", file("stranger.xml")});
    start();
  }
  ~LiveDomain() {
    run({"virsh", "-q", "-c", host_.uri(), "destroy", name});
    run({"virsh", "-q", "-c", host_.uri(), "undefine", "--checkpoints-metadata", name});
    for (const auto& entry : std::filesystem::directory_iterator(host_.pool()))
      std::filesystem::remove_all(entry.path());
  }
  LiveDomain(const LiveDomain&) = delete;
  LiveDomain& operator=(const LiveDomain&) = delete;

  std::string file(const std::string& called) const { return host_.pool() / ("stranger-" + called); }
  void start() const {
    const std::size_t before = log().size();
    host_.virsh({"start", name});
    wait_for([&] { return log().find(small_guest_ready, before) != std::string::npos; }, "it is up");
    wait_for([&] { return agent(R"({"execute": "guest-ping"})").has_value(); }, "its agent answers");
  }

  std::string log() const { return read_text(file("serial.log")); }
  std::optional<nlohmann::json> agent(const std::string& command) const {
    const Outcome outcome = run({"virsh", "-q", "-c", host_.uri(), "qemu-agent-command", name, command});
    if (outcome.status != 0) return std::nullopt;
    return nlohmann::json::parse(outcome.output).at("return");
  }
  std::string freeze_status() const {
    const auto answer = agent(R"({"execute": "guest-fsfreeze-status"})");
    return answer ? answer->get<std::string>() : "no answer";
  }
  /// A command of the guest's shell, to its end; false: it failed.
  bool shell(const std::string& command) const {
    const auto begun =
        agent(nlohmann::json{{"execute", "guest-exec"}, {"arguments", {{"path", "/bin/sh"}, {"arg", {"-c", command}}}}}
                  .dump());
    if (!begun) return false;
    const std::string ask = nlohmann::json{{"execute", "guest-exec-status"}, {"arguments", *begun}}.dump();
    for (int i = 0; i < 600; ++i) {
      const auto status = agent(ask);
      if (status && status->at("exited")) return status->value("exitcode", -1) == 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  bool has_job() const { return run({"virsh", "-q", "-c", host_.uri(), "backup-dumpxml", name}).status == 0; }
  std::vector<std::string> checkpoints() const {
    std::istringstream lines(host_.virsh({"checkpoint-list", name, "--name"}));
    std::vector<std::string> names;
    for (std::string line; std::getline(lines, line);)
      if (!line.empty()) names.push_back(line);
    return names;
  }

  template <class Is>
  static void wait_for(const Is& is_so, const std::string& what) {
    for (int i = 0; i < 2400; ++i) {
      if (is_so()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    throw std::runtime_error("waited a minute in vain until " + what);
  }

 private:
  /// The daemon of a test that runs as root is somebody else.
  static void give_away(const std::string& path) {
    if (::geteuid() == 0 && ::chown(path.c_str(), nobody, nobody) != 0) throw std::runtime_error("chown failed");
  }

  std::string xml() const {
    return "<domain type='qemu'><name>" + std::string(name) +
           "</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>"
           "<os><type arch='x86_64' machine='q35'>hvm</type><bios "
           "useserial='yes'/></os><features><acpi/><apic/></features>"
           "<cpu mode='maximum'/><devices>"
           "<disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='" +
           file("system.qcow2") + "'/><backingStore type='file'><format type='qcow2'/><source file='" +
           file("small.qcow2") +
           "'/><backingStore/></backingStore><target dev='vda' bus='virtio'/></disk>"
           "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='" +
           file("data.raw") +
           "'/><backingStore/><target dev='vdb' bus='virtio'/></disk>"
           "<interface type='user'><model type='virtio'/></interface>"
           "<serial type='pty'><log file='" +
           file("serial.log") +
           "' append='on'/><target type='isa-serial' port='0'/></serial>"
           "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
           "<controller type='usb' model='none'/><video><model type='none'/></video><memballoon model='none'/>"
           "</devices></domain>";
  }

  const LibvirtHost& host_;
};

}  // namespace kiln::test

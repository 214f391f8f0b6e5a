#pragma once
// A QEMU that kiln did not start, without a guest: what a guest would write, a test writes over its monitor.

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "process/process.h"
#include "qmp/qmp.h"

namespace kiln::test {

class BareQemu {
 public:
  /// `drives`: "file=…,format=…", with if=virtio added. Its monitors are in `folder`: m.sock for captures, own.sock.
  BareQemu(const std::filesystem::path& folder, const std::vector<std::string>& drives, bool paused = false)
      : folder_(folder), child_(Child::start(command(drives, paused), folder / "qemu.log", folder)) {}

  std::filesystem::path monitor() const { return folder_ / "m.sock"; }
  pid_t pid() const { return child_.pid(); }
  void kill() { child_.terminate(Duration(0)); }

  nlohmann::json ask(const std::string& command, const nlohmann::json& arguments = nullptr) const {
    return Qmp::connect(folder_ / "own.sock", std::chrono::seconds(30)).execute(command, arguments);
  }
  /// As the guest would: write("virtio0", "-P 0x11 64k 64k").
  void write(const std::string& drive, const std::string& what) const {
    const auto said = ask("human-monitor-command", {{"command-line", "qemu-io " + drive + " \"write " + what + "\""}});
    if (said != "") throw std::runtime_error("qemu-io: " + said.dump());
  }
  /// Nodes, jobs and exports of ours.
  std::vector<std::string> left() const {
    std::vector<std::string> found;
    const auto look = [&](const char* query, const char* key) {
      for (const auto& one : ask(query))
        if (const std::string name = one.value(key, ""); name.starts_with("kiln-")) found.push_back(name);
    };
    look("query-named-block-nodes", "node-name");
    look("query-jobs", "id");
    look("query-block-exports", "id");
    return found;
  }

 private:
  static Command command(const std::vector<std::string>& drives, bool paused) {
    Command c{"qemu-system-x86_64",
              {"-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg", "-m", "64", "-smp", "2"}};
    for (const char* socket : {"m.sock", "own.sock"})
      for (const std::string& word : {std::string("-qmp"), "unix:" + std::string(socket) + ",server=on,wait=off"})
        c.args.push_back(word);
    for (const std::string& drive : drives)
      for (const std::string& word : {std::string("-drive"), drive + ",if=virtio"}) c.args.push_back(word);
    if (paused) c.args.push_back("-S");
    return c;
  }

  std::filesystem::path folder_;
  Child child_;
};

}  // namespace kiln::test

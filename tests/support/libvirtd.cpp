#include "support/libvirtd.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "support/run.h"

namespace kiln::test {
namespace {

/// Those that have `text` in their command line.
std::vector<pid_t> processes_with(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::ostringstream line;
    line << file.rdbuf();
    if (line.str().find(text) != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

}  // namespace

LibvirtHost::LibvirtHost() {
  for (const char* name : {"run", "c/libvirt", "cache", "data", "pool"})
    std::filesystem::create_directories(folder_ / name);
  // No virtlogd beside it, which would outlive it.
  std::ofstream(folder_ / "c/libvirt/qemu.conf") << "stdio_handler = \"file\"\n";
  if (::geteuid() == 0) {
    // A daemon of root's would use the folders of the system.
    if (::chown(folder_.path().c_str(), nobody, nobody) != 0) throw std::runtime_error("chown failed");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path()))
      if (::chown(entry.path().c_str(), nobody, nobody) != 0) throw std::runtime_error("chown failed");
  }
  start();
}

void LibvirtHost::start() {
  std::vector<std::string> environment{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + folder_.path().string()};
  for (const auto& [name, at] :
       {std::pair{"RUNTIME_DIR", "run"}, {"CONFIG_HOME", "c"}, {"CACHE_HOME", "cache"}, {"DATA_HOME", "data"}})
    environment.push_back("XDG_" + std::string(name) + "=" + (folder_ / at).string());
  const std::string log = folder_ / "log";
  pid_ = start_server({.command = {"libvirtd"}, .log = log, .environment = std::move(environment)});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (run({"virsh", "-q", "-c", uri(), "version"}).status != 0) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("libvirtd does not answer, see " + log);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void LibvirtHost::stop() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

LibvirtHost::~LibvirtHost() {
  stop();
  for (int tries = 0; tries < 500; ++tries) {
    const std::vector<pid_t> left = processes_with(folder_.path().string());
    if (left.empty()) return;
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::string LibvirtHost::virsh(std::vector<std::string> words) const {
  words.insert(words.begin(), {"virsh", "-q", "-c", uri()});
  const Outcome outcome = run(words);
  if (outcome.status != 0) throw std::runtime_error(words[4] + " failed: " + outcome.output);
  return outcome.output;
}

void LibvirtHost::define_pool() const {
  virsh({"pool-define-as", "kiln", "dir", "--target", pool()});
}

std::vector<std::string> LibvirtHost::volumes(const std::string& begin) const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(pool()))
    if (entry.path().filename().string().starts_with(begin)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace kiln::test

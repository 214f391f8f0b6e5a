#include "machine/accelerator.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <system_error>

#include <kiln/file.h>

#include <nlohmann/json.hpp>

#include "machine/instance_record.h"
#include "machine/probe_payload.h"
#include "process/process.h"

namespace kiln {
namespace {

using nlohmann::json;

/// A folder of the probe's own, gone when it is done.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "kiln-probe-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot make a folder in " + name, errno);
    path_ = name;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Command probe_command(std::string_view accelerator) {
  const json disk{{"driver", "raw"},
                  {"node-name", "disk"},
                  {"read-only", true},
                  {"file", {{"driver", "file"}, {"filename", "disk"}, {"read-only", true}}}};
  return {"qemu-system-x86_64",
          {"-nodefaults", "-no-user-config",
           "-display",    "none",
           "-machine",    "q35",
           "-accel",      std::string(accelerator),
           "-cpu",        accelerator == "kvm" ? "host" : "max",
           "-m",          std::to_string(probe_memory_mib),
           "-blockdev",   disk.dump(),
           "-device",     "virtio-blk-pci,drive=disk,bootindex=0",
           "-chardev",    "file,id=letters,path=letters",
           "-device",     "isa-debugcon,iobase=0xe9,chardev=letters",
           "-device",     "isa-debug-exit,iobase=0xf4,iosize=4",
           "-sandbox",    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"}};
}

void write_disk(const std::filesystem::path& path) {
  File disk = File::create(path);
  const auto sector = probe_sector();
  disk.write_at(0, std::as_bytes(std::span(sector)));
  disk.truncate(1u << 20);  // SeaBIOS does not boot a disk of one sector
}

std::string last_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line, last;
  while (std::getline(in, line))
    if (!line.empty()) last = line;
  return last;
}

std::string why(const std::optional<Exit>& exit, const std::string& reached, Duration limit, const std::string& said) {
  if (exit) return "qemu " + describe(*exit) + (said.empty() ? "" : ": " + said);
  const std::string in = " in " + format_duration(limit);
  if (reached.ends_with('L')) return "a guest reached long mode, but did not clear 256 MiB of memory" + in;
  return "a guest did not reach long mode" + in;
}

/// Why /dev/kvm cannot even be opened; empty when it can.
std::string kvm_obstacle() {
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
    return {};
  }
  if (errno == ENOENT) return "this host has no /dev/kvm";
  return "/dev/kvm cannot be opened: " + std::generic_category().message(errno);
}

std::optional<Accelerator> remembered(const std::filesystem::path& file, const std::string& boot) {
  try {
    const json j = json::parse(read_text(file, 64 * 1024));
    if (boot.empty() || j.at("boot_id").get<std::string>() != boot) return std::nullopt;
    const bool works = j.at("kvm").get<bool>();
    return Accelerator{works ? "kvm" : "tcg", j.at("reason").get<std::string>()};
  } catch (const std::exception&) {
    return std::nullopt;  // absent or damaged: probe again
  }
}

void remember(const std::filesystem::path& file, const std::string& boot, const Accelerator& found) {
  try {
    std::filesystem::create_directories(file.parent_path());
    write_text(file, json{{"boot_id", boot}, {"kvm", found.name == "kvm"}, {"reason", found.reason}}.dump(2) + "\n");
  } catch (const std::exception&) {
    // a read-only home: the next run probes again
  }
}

}  // namespace

ProbeResult run_probe(std::string_view accelerator, Duration limit, std::stop_token stop) {
  const Scratch scratch;
  write_disk(scratch.path() / "disk");
  std::optional<Exit> exit;
  {
    Child qemu = Child::start(probe_command(accelerator), scratch.path() / "log", scratch.path());
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!exit && std::chrono::steady_clock::now() < until) {
      if (stop.stop_requested()) throw cancelled();
      exit = qemu.wait(std::chrono::milliseconds(20));
    }
  }  // killed here, without TERM before: a guest that hangs in KVM does not hear it
  std::ifstream file(scratch.path() / "letters");
  std::string letters;
  std::getline(file, letters);
  if (exit && exit->status == probe_success && letters == "RPLW") return {true, {}, letters};
  return {false, why(exit, letters, limit, last_line(scratch.path() / "log")), letters};
}

Accelerator probe_accelerator(const std::filesystem::path& home, bool again, std::stop_token stop) {
  if (const std::string obstacle = kvm_obstacle(); !obstacle.empty()) return {"tcg", obstacle};
  const std::filesystem::path file = home / "host" / "accel.json";
  const std::string boot = host_boot_id();
  if (!again)
    if (auto known = remembered(file, boot)) return *known;
  const ProbeResult result = run_probe("kvm", std::chrono::seconds(3), std::move(stop));
  const Accelerator found =
      result.works ? Accelerator{"kvm", {}} : Accelerator{"tcg", "/dev/kvm opens, but " + result.reason};
  remember(file, boot, found);
  return found;
}

Accelerator choose_accelerator(std::string_view wanted, const std::filesystem::path& home, std::stop_token stop) {
  if (wanted.empty() || wanted == "auto") return probe_accelerator(home, false, std::move(stop));
  if (wanted == "kvm" || wanted == "tcg") return {std::string(wanted), "asked for"};
  const auto near = nearest(wanted, {"auto", "kvm", "tcg"});
  throw invalid("unknown accelerator \"" + std::string(wanted) + "\"",
                near ? "did you mean \"" + *near + "\"?" : "use auto, kvm or tcg");
}

}  // namespace kiln

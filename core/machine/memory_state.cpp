#include "machine/memory_state.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>
#include <utility>

#include <kiln/endian.h>
#include <kiln/text.h>

#include <nlohmann/json.hpp>

#include "disk/overlay.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr char tag[] = "kiln";
/// QEMU hears nobody while it saves: a terabyte takes that long on a slow disk.
constexpr Duration save_limit = 60min;
/// The snapshot lies behind the disk's end; the disk itself is not used.
constexpr std::uint64_t no_disk = 1u << 20;

json node_for(const std::string& node, const std::string& file) {
  return {{"driver", "qcow2"},
          {"node-name", node},
          {"backing", nullptr},
          {"cache", {{"no-flush", true}}},
          {"file", {{"driver", "file"}, {"filename", file}, {"discard", "unmap"}}}};
}

/// Throws Error with the job's own words.
void run_job(Qmp& qmp, const char* command, const std::string& node) {
  qmp.execute(command, {{"job-id", node}, {"tag", tag}, {"vmstate", node}, {"devices", {node}}}, save_limit);
  for (;;) {
    const json jobs = qmp.execute("query-jobs", save_limit);
    const auto job = std::ranges::find_if(jobs, [&](const json& one) { return one.value("id", "") == node; });
    if (job == jobs.end()) throw Error(std::string("qemu has lost its job ") + command);
    if (job->value("status", "") == "concluded") {
      const std::string failure = job->value("error", "");
      qmp.execute("job-dismiss", {{"id", node}});
      if (!failure.empty()) throw Error(std::string(command) + ": " + printable(failure, 300));
      return;
    }
    std::this_thread::sleep_for(5ms);
  }
}

/// What could not be written whole would fill the host's disk for as long as it is open.
void forget(Qmp& qmp, const std::string& node) {
  try {
    qmp.execute("blockdev-del", {{"node-name", node}});
  } catch (const Error&) {
    // it is in use, or was never there
  }
}

/// What save_memory() makes, and nothing that leads out of the file (docs/interop/qcow2 of QEMU: version at byte 4,
/// backing file at 8, encryption at 32, incompatible features at 72).
void require_plain(const std::filesystem::path& file) {
  std::array<std::byte, 104> header{};
  const bool is_whole = File::open_read(file).read_some(0, header) == header.size();
  constexpr std::uint32_t magic = 0x514649fb;
  if (!is_whole || get_be<std::uint32_t>(header, 0) != magic || get_be<std::uint32_t>(header, 4) != 3 ||
      get_be<std::uint64_t>(header, 8) != 0 || get_be<std::uint32_t>(header, 32) != 0 ||
      get_be<std::uint64_t>(header, 72) != 0)
    throw refused("the image's memory is not one that kiln has saved", "launch it without --resume to boot it");
}

class SavedFile final : public BlockReader {
 public:
  explicit SavedFile(File file) : file_(std::move(file)), size_(file_.size()) {}

  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override {
    const std::uint64_t data = std::min(file_.seek(offset, true), size_);
    if (data > offset) return {offset, data - offset, false, false};
    return {offset, std::clamp(file_.seek(offset, false), offset + 1, size_) - offset, true, false};
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override { file_.read_at(offset, into); }

 private:
  const File file_;
  const std::uint64_t size_;
};

}  // namespace

std::string board_of(Qmp& qmp) {
  constexpr std::string_view ending = "-machine";
  const json type = qmp.execute("qom-get", {{"path", "/machine"}, {"property", "type"}});
  std::string name = type.is_string() ? type.get<std::string>() : "";
  if (!name.ends_with(ending)) throw Error("qemu does not say what board the machine has");
  name.resize(name.size() - ending.size());
  return name;
}

std::string host_processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      return printable(line.substr(std::min(line.find(": "), line.size() - 2) + 2), 128);
  return "unknown";
}

File save_memory(Qmp& qmp, const std::filesystem::path& file, const std::string& node) {
  std::filesystem::remove(file);
  create_empty(file, no_disk);
  File saved = File::open_read(file);
  try {
    qmp.execute("blockdev-add", node_for(node, file.string()));
    std::filesystem::remove(file);  // both have it open: nothing is left of it, whatever happens
    run_job(qmp, "snapshot-save", node);
    qmp.execute("blockdev-del", {{"node-name", node}});
  } catch (const Error& error) {
    std::filesystem::remove(file);
    if (is_cancelled(error)) throw;
    forget(qmp, node);
    throw Error("cannot save the machine's memory: " + std::string(error.what()),
                error.hint().empty() ? "capture it without --with-memory" : error.hint());
  }
  return saved;
}

std::shared_ptr<const BlockReader> memory_reader(File file) {
  return std::make_shared<SavedFile>(std::move(file));
}

void load_memory(Qmp& qmp, const std::filesystem::path& folder, const std::string& file) {
  const std::string node = "kiln-memory";
  require_plain(folder / file);
  try {
    qmp.execute("blockdev-add", node_for(node, file));
    std::filesystem::remove(folder / file);
    run_job(qmp, "snapshot-load", node);
    qmp.execute("blockdev-del", {{"node-name", node}});
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    throw Error("the machine cannot go on from that memory: " + std::string(error.what()),
                "it was saved by another QEMU, or of another machine; launch the image without --resume to boot it");
  }
}

}  // namespace kiln

#include "engine/foreign_worker.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>

#include "guest/text.h"
#include "process/process.h"
#include "process/sandbox.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char log_name[] = "log";
constexpr std::uint64_t slowest = 1u << 20;  // bytes of the disk in a second

/// qapi/block-core.json of QEMU 7.2: those whose options are BlockdevOptionsGenericCOWFormat.
constexpr std::array<std::string_view, 4> with_backing{"qcow", "qcow2", "qed", "vmdk"};

/// Every node is named, and what a header says of other files is not asked for.
std::vector<json> block_graph(const File& file, std::string_view driver, const std::string& name) {
  std::vector<json> nodes{
      {{"driver", "file"}, {"node-name", "container"}, {"filename", name}, {"read-only", true}, {"locking", "off"}}};
  if (file.is_part()) {
    // QEMU counts in sectors. What follows a member of an archive up to the next one is not looked at.
    const std::uint64_t size = (file.size() + 511) / 512 * 512;
    nodes.push_back({{"driver", "raw"},
                     {"node-name", "part"},
                     {"read-only", true},
                     {"offset", file.begin()},
                     {"size", size},
                     {"file", "container"}});
  }
  json disk{{"driver", driver}, {"node-name", "disk"}, {"read-only", true}, {"file", nodes.back()["node-name"]}};
  if (std::ranges::find(with_backing, driver) != with_backing.end()) disk["backing"] = nullptr;
  nodes.push_back(std::move(disk));
  return nodes;
}

Command command_for(const File& file, std::string_view driver, const Sandbox& box) {
  Command command{"qemu-storage-daemon", {}};
  for (const json& node : block_graph(file, driver, box.input(0)))
    command.args.insert(command.args.end(), {"--blockdev", node.dump()});
  const json address{{"type", "fd"}, {"str", std::to_string(box.socket(0))}};
  const json shown{{"type", "nbd"}, {"id", "disk"}, {"node-name", "disk"}, {"name", ForeignWorker::export_name}};
  command.args.insert(command.args.end(), {"--nbd-server", json{{"addr", address}}.dump(), "--export", shown.dump()});
  return command;
}

/// Listens in kiln's own folder: the daemon gets the socket, and has no folder to put another into.
Fd listen_at(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path)
    throw Error("the path of a socket is too long: " + path.string(), "set TMPDIR to a folder with a shorter name");
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  Fd listener = lifted(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener || ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), SOMAXCONN) != 0)
    throw_errno("cannot listen at " + path.string());
  return listener;
}

void hold(std::stop_token stop, const Boxed& boxed, const fs::path& log, std::promise<void> started) {
  try {
    const Child child = Child::start(boxed.command, log, {}, boxed.passed);
    started.set_value();
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait(lock, std::move(stop), [] { return false; });
  } catch (...) {
    started.set_exception(std::current_exception());
  }
}

}  // namespace

ForeignWorker::Folder::Folder() {
  std::string name = (fs::temp_directory_path() / "kiln-worker-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw_errno("cannot make the folder " + name);
  path = name;
}

ForeignWorker::Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

ForeignWorker::ForeignWorker(const File& file, std::string_view driver, std::uint64_t disk_size, bool sandboxed) {
  const Fd listener = listen_at(socket());
  Sandbox box{.inputs = {file.fd()}, .sockets = {listener.get()}, .off = !sandboxed};
  box.limits.file_size = 1u << 20;  // of its log: it writes nothing else
  box.limits.cpu_seconds += disk_size / slowest;
  const Boxed boxed = in_sandbox(command_for(file, driver, box), box);
  std::promise<void> started;
  auto is_started = started.get_future();
  keeper_ = std::jthread(hold, std::cref(boxed), folder_.path / log_name, std::move(started));
  is_started.get();
}

ForeignWorker::~ForeignWorker() = default;

std::vector<std::string> ForeignWorker::last_words() const {
  std::error_code missing;
  const fs::path log = folder_.path / log_name;
  return fs::exists(log, missing) ? last_lines(read_text(log, 32u << 20), 5) : std::vector<std::string>{};
}

}  // namespace kiln::engine

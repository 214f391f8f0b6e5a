// The block graph is built here node by node (qapi/block-core.json of QEMU 7.2), so that no name in a header decides
// what is opened.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include <kiln/endian.h>
#include <kiln/file.h>

#include "guest/drive.h"
#include "guest/text.h"
#include "process/process.h"
#include "qmp/qmp.h"

namespace kiln {

using nlohmann::json;

namespace {

constexpr std::size_t longest_chain = 256;
constexpr std::string_view export_id = "disk";
/// What is exported: a node that passes everything on to the layer at the top, whichever that is.
constexpr std::string_view front = "front";

json front_node(const std::string& top) {
  return {{"driver", "raw"}, {"node-name", front}, {"discard", "unmap"}, {"file", top}};
}

/// The backing file's name in a qcow2 header (docs/interop/qcow2.txt: bytes 8..15 offset, 16..19 length); empty: none.
std::string backing_name(const std::filesystem::path& layer) {
  const File file = File::open_read(layer);
  std::array<std::byte, 72> header{};
  file.read_at(0, header);
  if (std::memcmp(header.data(), "QFI\xfb", 4) != 0) throw Error("not a layer of kiln (no qcow2): " + layer.string());
  const auto offset = get_be<std::uint64_t>(header, 8);
  const auto length = get_be<std::uint32_t>(header, 16);
  if (offset == 0) return {};
  if (length > 1023) throw Error("a layer's backing file name is too long: " + layer.string());
  std::string name(length, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(name)));
  return name;
}

json file_node(const std::filesystem::path& path, bool writable) {
  return {{"driver", "file"},
          {"filename", std::filesystem::absolute(path).string()},
          {"read-only", !writable},
          {"discard", "unmap"},
          {"cache", {{"direct", false}, {"no-flush", true}}}};
}

json layer_node(const std::string& name, const std::filesystem::path& path, bool writable, const json& backing) {
  return {{"driver", "qcow2"},
          {"node-name", name},
          {"read-only", !writable},
          {"discard", "unmap"},
          {"detect-zeroes", writable ? "unmap" : "off"},
          {"file", file_node(path, writable)},
          {"backing", backing}};
}

}  // namespace

/// The daemon, its control connection, and the layer at the top.
class LiveDrive {
 public:
  LiveDrive(const std::vector<std::filesystem::path>& chain, const std::filesystem::path& sockets)
      : output_(sockets / "qsd.log"),
        daemon_(start(chain, sockets, output_)),
        qmp_(connect(sockets / "qmp.sock")),
        top_(chain.back()),
        count_(chain.size()) {
    if (chain.size() > 1) below_ = name(chain.size() - 2);
    for (std::size_t i = 0; i < count_; ++i) open_.push_back(name(i));
  }

  void move_to(const std::filesystem::path& fresh) {
    const std::string old_name = name(count_ - 1);
    const std::string new_name = name(count_);
    qmp_.execute("blockdev-add", layer_node(new_name, fresh, true, nullptr));
    // Flushes the old layer and puts the new one between it and the export, in one step.
    qmp_.execute("blockdev-snapshot", json{{"node", old_name}, {"overlay", new_name}});
    json sealed = layer_node(old_name, top_, false, below_.empty() ? json(nullptr) : json(below_));
    qmp_.execute("blockdev-reopen", json{{"options", json::array({std::move(sealed)})}});
    top_ = fresh;
    below_ = old_name;
    open_.push_back(new_name);
    ++count_;
  }

  void exchange(const std::vector<std::filesystem::path>& chain) {
    std::vector<std::string> fresh;
    for (std::size_t i = 0; i < chain.size(); ++i) {
      fresh.push_back(name(count_ + i));
      const json below = i == 0 ? json(nullptr) : json(fresh[i - 1]);
      qmp_.execute("blockdev-add", layer_node(fresh.back(), chain[i], i + 1 == chain.size(), below));
    }
    count_ += chain.size();
    qmp_.execute("blockdev-reopen", json{{"options", json::array({front_node(fresh.back())})}});
    for (auto old = open_.rbegin(); old != open_.rend(); ++old) qmp_.execute("blockdev-del", json{{"node-name", *old}});
    below_ = fresh.size() > 1 ? fresh[fresh.size() - 2] : "";
    open_ = std::move(fresh);
    top_ = chain.back();
  }

  void close() {
    qmp_.execute("quit");
    const auto exit = daemon_.wait(std::chrono::seconds(60));
    if (!exit) throw Error("qemu-storage-daemon does not end");
    if (!exit->ok()) throw Error("qemu-storage-daemon " + describe(*exit), {}, said());
  }

 private:
  static std::string name(std::size_t i) { return fmt::format("layer{}", i); }

  static Child start(const std::vector<std::filesystem::path>& chain, const std::filesystem::path& sockets,
                     const std::filesystem::path& output) {
    Command command{"qemu-storage-daemon", {}};
    const auto add = [&](std::string option, std::string value) {
      command.args.push_back(std::move(option));
      command.args.push_back(std::move(value));
    };
    for (std::size_t i = 0; i < chain.size(); ++i)
      add("--blockdev",
          layer_node(name(i), chain[i], i + 1 == chain.size(), i == 0 ? json(nullptr) : json(name(i - 1))).dump());
    add("--blockdev", front_node(name(chain.size() - 1)).dump());
    const auto socket = [&](const char* file) {
      return json{{"type", "unix"}, {"path", std::filesystem::absolute(sockets / file).string()}};
    };
    add("--nbd-server", json{{"addr", socket("nbd.sock")}, {"max-connections", 1}}.dump());
    add("--export",
        json{{"type", "nbd"}, {"id", export_id}, {"node-name", front}, {"name", ""}, {"writable", true}}.dump());
    add("--chardev", "socket,id=control,server=on,wait=off,path=" + option_value(socket("qmp.sock")["path"]));
    add("--monitor", "chardev=control");
    return Child::start(command, output);
  }

  Qmp connect(const std::filesystem::path& socket) {
    // The socket is there once the files are open. A daemon that cannot open them is gone instead.
    for (std::error_code missing; !std::filesystem::exists(socket, missing);)
      if (daemon_.wait(std::chrono::milliseconds(5)))
        throw Error("qemu-storage-daemon does not open the disk", {}, said());
    return Qmp::connect(socket, std::chrono::seconds(60), {}, "qemu-storage-daemon");
  }

  std::vector<std::string> said() const {
    std::error_code missing;
    return std::filesystem::exists(output_, missing) ? last_lines(read_text(output_), 8) : std::vector<std::string>();
  }

  std::filesystem::path output_;
  Child daemon_;
  Qmp qmp_;
  std::filesystem::path top_;
  std::string below_;              // the node under the top one
  std::size_t count_;              // nodes made
  std::vector<std::string> open_;  // of them, those that are there, the lowest first
};

std::vector<std::filesystem::path> chain_of(const std::filesystem::path& overlay) {
  std::vector<std::filesystem::path> chain{overlay};
  for (std::string below; !(below = backing_name(chain.back())).empty();) {
    if (chain.size() == longest_chain) throw Error("the chain of layers does not end: " + overlay.string());
    chain.push_back(chain.back().parent_path() / below);  // an absolute name replaces the folder
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

Drive::Drive(const std::filesystem::path& overlay, const std::filesystem::path& sockets)
    : socket_(std::filesystem::absolute(sockets / "nbd.sock")),
      live_(std::make_unique<LiveDrive>(chain_of(overlay), sockets)) {}

Drive::~Drive() = default;

const std::filesystem::path& Drive::socket() const noexcept {
  return socket_;
}

void Drive::move_to(const std::filesystem::path& fresh_overlay) {
  live_->move_to(fresh_overlay);
}

void Drive::exchange(const std::filesystem::path& overlay) {
  live_->exchange(chain_of(overlay));
}

void Drive::close() {
  if (live_) live_->close();
  live_.reset();
}

}  // namespace kiln

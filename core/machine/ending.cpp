#include "machine/ending.h"

#include <kiln/file.h>

#include <nlohmann/json.hpp>

#include "machine/instances.h"
#include "machine/qemu.h"

namespace kiln {
namespace {

using nlohmann::json;
constexpr std::uint64_t longest_record = 1u << 20;

Ending from_json(const json& j) {
  Ending ending;
  ending.process = {j.at("pid"), j.at("started")};
  ending.when = j.at("when");
  ending.exit = {j.at("status"), j.at("signal")};
  ending.reason = j.at("reason");
  ending.panicked = j.at("panicked");
  ending.serial = j.at("serial").get<std::vector<std::string>>();
  return ending;
}

}  // namespace

void write_ending(const std::filesystem::path& folder, const Ending& e) {
  const json j{
      {"pid", e.process.pid},    {"started", e.process.started}, {"when", e.when},         {"status", e.exit.status},
      {"signal", e.exit.signal}, {"reason", e.reason},           {"panicked", e.panicked}, {"serial", e.serial}};
  write_text(folder / machine_file::ended, j.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

std::optional<Ending> read_ending(const Instance& instance) {
  try {
    Ending ending = from_json(json::parse(read_text(instance.folder / machine_file::ended, longest_record)));
    // An attendant that was held up may tell of a run before this one.
    if (ending.process == instance.process) return ending;
  } catch (const std::exception&) {
    // none was written, or none that can be read: it is not known
  }
  return std::nullopt;
}

std::string describe(const Ending& ending) {
  if (!ending.exit.ok()) return "qemu " + describe(ending.exit);
  if (ending.panicked || ending.reason == "guest-panic") return "its kernel panicked";
  if (ending.reason.starts_with("guest-")) return "shut down by its guest";
  if (ending.reason == "host-qmp-quit") return "switched off";
  if (ending.reason == "host-signal") return "qemu was told to end by a signal";
  return "qemu " + describe(ending.exit);
}

std::string how_it_ended(const Instance& instance) {
  if (const auto ending = read_ending(instance)) return describe(*ending);
  return instance.boot_id == host_boot_id() ? "ended, nobody knows how" : "ended with its host";
}

}  // namespace kiln

// kiln cache list, clear: the results of stages that are kept so that they need not run again.
#include <sys/stat.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "engine/layers.h"
#include "engine/record.h"
#include "process/file_lock.h"

namespace kiln::cli {
namespace {

struct Kept {
  engine::Record record;
  std::uint64_t bytes = 0;  ///< on disk: layers are sparse
};

std::uint64_t bytes_in(const std::filesystem::path& folder) {
  std::uint64_t sum = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, gone))
    if (entry.is_regular_file(gone)) sum += entry.file_size(gone);
  return sum;
}

std::vector<Kept> kept_layers(const Home& home) {
  std::vector<Kept> all;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(home.layers(), none))
    if (const auto record = engine::read_record(entry.path() / "layer.json"))
      all.push_back({*record, bytes_in(entry.path())});
  std::sort(all.begin(), all.end(), [](const Kept& a, const Kept& b) { return a.record.created > b.record.created; });
  return all;
}

/// What was downloaded, and what is on its way.
struct Downloads {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};

Downloads kept_downloads(const Home& home) {
  Downloads all;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(home.root() / "cache" / "downloads", none)) {
    struct stat status {};
    if (entry.path().extension() == ".json" || ::stat(entry.path().c_str(), &status) != 0) continue;
    ++all.files;
    all.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return all;
}

/// A run holds a lock in its work folder for as long as it lives.
void refuse_while_a_build_runs(const Home& home) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(home.layers(), none)) {
    const auto lock = entry.path() / "lock";
    if (entry.path().filename().string().starts_with(".work-") && std::filesystem::exists(lock) &&
        !FileLock::try_exclusive(lock))
      throw refused("a build is running on this kiln home", "wait until it is done, or stop it, then clear the cache");
  }
}

std::string describe(const Downloads& downloads) {
  if (downloads.files == 0) return {};
  return fmt::format("{} {}, {}", downloads.files, downloads.files == 1 ? "download" : "downloads",
                     format_bytes(downloads.bytes));
}

void print(Output& out, const std::vector<Kept>& layers, const Downloads& downloads) {
  std::uint64_t sum = downloads.bytes;
  TextTable table{{"KEY", "STAGE", ">BYTES", ">AGE", "WHAT"}};
  for (const Kept& kept : layers) {
    sum += kept.bytes;
    table.rows.push_back({kept.record.key.substr(0, 12), kept.record.stage, format_bytes(kept.bytes),
                          age_of(engine::to_iso(kept.record.created)), fit(kept.record.summary, 60)});
  }
  if (!layers.empty()) out.table(table);
  if (downloads.files != 0) out.line(describe(downloads));
  out.line(fmt::format("{} in all; kiln cache clear removes them", format_bytes(sum)));
}

}  // namespace

int run_cache_list(Call& call) {
  const std::vector<Kept> layers = kept_layers(call.services.home());
  const Downloads downloads = kept_downloads(call.services.home());
  if (call.out.json()) {
    Json all = Json::array();
    for (const Kept& kept : layers)
      all.push_back({{"key", kept.record.key},
                     {"stage", kept.record.stage},
                     {"summary", kept.record.summary},
                     {"created", engine::to_iso(kept.record.created)},
                     {"parent", kept.record.parent},
                     {"bytes", kept.bytes}});
    call.out.object({{"layers", all}, {"downloads", {{"files", downloads.files}, {"bytes", downloads.bytes}}}});
  } else if (layers.empty() && downloads.files == 0) {
    call.out.line("no kept results");
  } else {
    print(call.out, layers, downloads);
  }
  return 0;
}

int run_cache_clear(Call& call) {
  const Home& home = call.services.home();
  std::uint64_t freed = 0;
  if (std::filesystem::exists(home.layers())) {
    const auto lock = FileLock::exclusive(home.layers() / ".lock");  // no run begins meanwhile
    refuse_while_a_build_runs(home);
    for (const auto& entry : std::filesystem::directory_iterator(home.layers())) {
      if (entry.path().filename() == ".lock") continue;
      freed += bytes_in(entry.path());
      engine::remove_tree(entry.path());
    }
  }
  for (const auto& folder : {home.root() / "done", home.root() / "again", home.root() / "cache"}) {
    freed += bytes_in(folder);
    std::filesystem::remove_all(folder);
  }
  if (call.out.json())
    call.out.object({{"freed_bytes", freed}});
  else
    call.out.line(fmt::format("{} freed; the next build runs every stage", format_bytes(freed)));
  return 0;
}

}  // namespace kiln::cli

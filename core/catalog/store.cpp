#include "catalog/store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include <kiln/random.h>

#include "catalog/collection.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

StorePaths make_folders(fs::path root) {
  StorePaths paths{std::move(root)};
  for (const fs::path& folder : {paths.root, paths.packs(), paths.disks(), paths.staging()}) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw system_error("cannot make the catalog's folder " + folder.string(), error.value());
  }
  for (const fs::path& file : {paths.lock(), paths.open_lock()}) {
    // Two processes may meet here; one of them creates it.
    while (!fs::exists(file)) try {
        File::create(file);
      } catch (const Error&) {
        if (!fs::exists(file)) throw;
      }
  }
  return paths;
}

std::unique_ptr<Database> open_database(const StorePaths& paths, const std::string& where) {
  // SQLite changes to its WAL mode only while nobody else has the file open.
  const FileLock alone = FileLock::exclusive(paths.open_lock());
  return std::make_unique<Database>(where.empty() ? paths.records().string() : where);
}

}  // namespace

Store::Store(fs::path root, const std::string& database)
    : paths(make_folders(std::move(root))),
      database_(open_database(paths, database)),
      records(*database_),
      images(*database_),
      shares(*database_),
      signatures(*database_),
      usage(*database_),
      leases(*database_),
      uses(*database_) {
  require_one_catalog(database);
  sweep_leftovers();
}

ChunkIndex::Packs Store::open_packs(const std::vector<std::string>& ids) const {
  ChunkIndex::Packs packs;
  packs.reserve(ids.size());
  for (const std::string& id : ids) {
    bring_back(paths.pack(id));
    if (!fs::exists(paths.pack(id)))
      throw Error(
          "the catalog has lost " + paths.pack(id).string(),
          "list the images that are harmed: kiln image verify; then publish them again, or heal them from a copy:"
          " kiln image repair --from REGION");
    packs.push_back(std::make_shared<const PackFile>(paths.pack(id)));
  }
  return packs;
}

void Store::bring_back(const fs::path& file) const {
  const fs::path kept = paths.quarantine() / file.filename();
  std::error_code failed;  // whoever misses it says so
  if (!fs::exists(file, failed) && fs::exists(kept, failed)) fs::rename(kept, file, failed);
}

bool Store::is_of_the_records() const {
  std::set<std::string> files, names;
  for (const fs::directory_entry& entry : fs::directory_iterator(paths.packs())) files.insert(entry.path().filename());
  for (const PackRecord& pack : records.packs()) names.insert(paths.pack(pack.id).filename());
  if (files.empty() || names.empty()) return files.empty() && names.empty();
  return std::ranges::any_of(files, [&](const std::string& file) { return names.contains(file); });
}

void Store::require_one_catalog(const std::string& database) {
  const bool is_marked = fs::exists(paths.identity());
  std::string bytes = is_marked ? read_text(paths.identity(), 64) : "";
  std::string recorded = records.identity();
  // A folder or records from before there were ids, or new ones.
  if ((bytes.empty() || recorded.empty()) && is_of_the_records()) {
    if (recorded.empty()) recorded = records.set_identity(bytes.empty() ? random_id() : bytes);
    if (bytes.empty()) write_text(paths.identity(), recorded, true), bytes = recorded;
  }
  if (bytes == recorded && !bytes.empty()) return;
  const std::string where = database.empty() ? paths.records().string() : "the database";
  throw Error("the records in " + where + " are not those of the bytes in " + paths.root.string(),
              database.empty() ? "restore the records from a backup, or give another KILN_HOME"
                               : "give the folder that all hosts of this catalog share: catalog_folder = \"/path\"",
              {"catalog.id of the folder: " + (bytes.empty() ? "none" : bytes),
               "of the records: " + (recorded.empty() ? "none" : recorded)});
}

void Store::ask_for_sweep() {
  File::create(paths.staging() / (random_id() + ".sweep"));  // any file in there does
}

void Store::sweep_leftovers() noexcept {
  try {
    if (has_leftovers(*this)) collect(*this);
  } catch (const std::exception&) {
    // a read-only store, or one that is busy: the next one who publishes tries again
  }
}

std::string random_id() {
  return random_hex(16);
}

}  // namespace kiln

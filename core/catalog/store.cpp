#include "catalog/store.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include "catalog/usage_meter.h"

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

/// Removes the files of a folder that are not in `wanted`.
void remove_others(const fs::path& folder, const std::set<std::string>& wanted) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (!wanted.contains(entry.path().filename().string())) fs::remove_all(entry.path());
}

}  // namespace

Store::Store(fs::path root, const std::string& database)
    : paths(make_folders(std::move(root))),
      database_(open_database(paths, database)),
      records(*database_),
      images(*database_),
      shares(*database_),
      signatures(*database_),
      usage(*database_) {
  sweep_leftovers();
}

ChunkIndex::Packs Store::open_packs(const std::vector<std::string>& ids) const {
  require_packs(ids);
  ChunkIndex::Packs packs;
  packs.reserve(ids.size());
  for (const std::string& id : ids) packs.push_back(std::make_shared<const PackFile>(paths.pack(id)));
  return packs;
}

void Store::require_packs(const std::vector<std::string>& ids) const {
  for (const std::string& id : ids)
    if (!fs::exists(paths.pack(id)))
      throw Error("the catalog has lost " + paths.pack(id).string(),
                  "list the images that are harmed, remove them, and publish again: kiln image verify");
}

Store::Swept Store::sweep() {
  const auto alone = FileLock::try_exclusive(paths.lock());
  if (!alone) return {};
  Swept swept{true, 0, 0};
  images.purge_expired(now_moment());
  settle_usage(*this);  // as long as there are chunks to count
  // Records first: a crash in between leaves files without records, which the next sweep removes.
  for (const PackRecord& pack : records.forget_unused()) {
    ++swept.packs;
    swept.bytes += pack.bytes;
  }
  std::set<std::string> packs, disks;
  for (const PackRecord& pack : records.packs()) packs.insert(paths.pack(pack.id).filename());
  for (const DiskRecord& disk : records.disks()) disks.insert(paths.manifest(disk.content).filename());
  try {
    remove_others(paths.packs(), packs);
    remove_others(paths.disks(), disks);
    remove_others(paths.staging(), {});
  } catch (const fs::filesystem_error& error) {
    throw system_error("cannot remove " + error.path1().string(), error.code().value());
  }
  return swept;
}

void Store::ask_for_sweep() {
  File::create(paths.staging() / (random_id() + ".sweep"));  // any file in there does
}

void Store::sweep_leftovers() noexcept {
  try {
    if (!fs::is_empty(paths.staging())) sweep();
  } catch (const std::exception&) {
    // a read-only store, or one that is busy: the next one who publishes tries again
  }
}

std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw system_error("cannot get random numbers", errno);
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char b : bytes) (out += digits[b >> 4]) += digits[b & 15];
  return out;
}

}  // namespace kiln

#include "catalog/store.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <utility>

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
      leases(*database_) {
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
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw system_error("cannot get random numbers", errno);
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char b : bytes) (out += digits[b >> 4]) += digits[b & 15];
  return out;
}

}  // namespace kiln

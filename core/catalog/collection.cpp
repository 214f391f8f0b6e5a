#include "catalog/collection.h"

#include <filesystem>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "catalog/lease.h"
#include "catalog/store.h"
#include "catalog/unfinished_copy.h"
#include "catalog/usage_meter.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using Kind = Collectable::Kind;

/// Of a file in staging/: its name begins with the lease's id, or, while it is being made, with a dot before it.
std::string holder_of(const fs::path& file) {
  const std::string name = file.filename();
  const std::size_t from = name.starts_with('.') ? 1 : 0;
  return name.substr(from, name.find('.', from) - from);
}

/// When the file is what a copy that was killed can go on from, or the note beside that.
std::optional<UnfinishedCopy> kept_copy(const StorePaths& paths, const fs::path& file) {
  const std::string lease = holder_of(file);
  if (file.filename() != lease + ".pack" && file.filename() != lease + ".copy") return std::nullopt;
  return unfinished_copy(paths, lease);
}

class Collection {
 public:
  Collection(Store& store, const CollectOptions& options) : store_(store), options_(options) {}

  Collected run() {
    const std::vector<std::string> dead = dead_leases();
    if (!options_.dry_run) {
      store_.ask_for_sweep();  // stays until the files are gone, so that a crash before that is noticed
      count_what_goes();
    }
    const StoreRecords::Unused unused = store_.records.forget_unused(dead, options_.grace, options_.dry_run);
    report(unused);
    for (const std::string& id : dead) gone_.insert(store_.paths.pack(id).filename());
    if (!options_.ended.empty()) gone_.insert(store_.paths.pack(options_.ended).filename());
    for (const PackRecord& pack : unused.packs) gone_.insert(store_.paths.pack(pack.id).filename());
    for (const DiskRecord& disk : unused.disks) gone_.insert(store_.paths.manifest(disk.content).filename());
    remove_files({dead.begin(), dead.end()});
    if (out_.postponed && !options_.dry_run) store_.ask_for_sweep();
    return std::move(out_);
  }

 private:
  /// Images whose term is over go first, so that their chunks are counted as long as they are there.
  void count_what_goes() {
    for (const std::string& image : store_.images.purge_expired(now_moment()))
      out_.items.push_back({Kind::image, image, 0, "its term is over"});
    const FileLock keep = store_.keep_files();
    settle_usage(store_);
  }

  std::vector<std::string> dead_leases() {
    std::vector<std::string> dead;
    const Moment now = now_moment();
    for (const LeaseRecord& lease : store_.leases.list()) {
      const bool died = lease.host == Lease::this_host() && !Lease::is_held(store_.paths, lease.id);
      if (!died && later(lease.expires, options_.grace) >= now) continue;
      dead.push_back(lease.id);
      out_.items.push_back(
          {Kind::lease, lease.id, lease.reserved, died ? "its process is dead" : "it was not renewed"});
    }
    return dead;
  }

  void report(const StoreRecords::Unused& unused) {
    for (const std::string& image : unused.images) out_.items.push_back({Kind::image, image, 0, "its term is over"});
    for (const DiskRecord& disk : unused.disks)
      out_.items.push_back({Kind::disk, to_hex(disk.content), 0, "no image has it"});
    for (const PackRecord& pack : unused.packs) {
      out_.items.push_back({Kind::pack, pack.id, pack.bytes, "no disk has it"});
      ++out_.packs;
      out_.bytes += pack.bytes;
    }
    for (const PackRecord& pack : unused.waiting)
      out_.items.push_back({Kind::pack, pack.id, pack.bytes, "a publish that runs may come to need it", true});
    out_.postponed = !unused.waiting.empty();
  }

  /// Whoever names and records a file needs milliseconds, unless it is stopped.
  std::optional<FileLock> wait_for_quiet() const {
    using namespace std::chrono_literals;
    for (int i = 0; i < 100; ++i) {
      if (auto alone = FileLock::try_exclusive(store_.paths.lock())) return alone;
      std::this_thread::sleep_for(10ms);
    }
    return std::nullopt;
  }

  void remove_files(const std::set<std::string>& dead) {
    const auto alone = wait_for_quiet();
    if (!alone) {
      out_.postponed = true;
      return;
    }
    std::set<std::string> packs, disks, leases;
    std::set<Digest> contents;
    for (const PackRecord& pack : store_.records.packs()) packs.insert(store_.paths.pack(pack.id).filename());
    for (const DiskRecord& disk : store_.records.disks()) {
      disks.insert(store_.paths.manifest(disk.content).filename());
      contents.insert(disk.content);
    }
    for (const LeaseRecord& lease : store_.leases.list())
      if (!dead.contains(lease.id)) leases.insert(lease.id);
    put_aside_others(store_.paths.packs(), ".pack", packs);
    put_aside_others(store_.paths.disks(), ".manifest", disks);
    empty_quarantine(packs, disks);
    remove_staged(leases, contents);
    if (!options_.dry_run) forget_damage(packs);
  }

  void put_aside_others(const fs::path& folder, const char* extension, const std::set<std::string>& wanted) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename();
      if (wanted.contains(name)) continue;
      if (gone_.contains(name))
        remove(entry, "its record is gone");
      else if (entry.path().extension() == extension && entry.is_regular_file())
        put_aside(entry);
    }
  }

  void put_aside(const fs::directory_entry& entry) {
    const fs::path target = store_.paths.quarantine() / entry.path().filename();
    out_.items.push_back({Kind::file, entry.path().lexically_relative(store_.paths.root), entry.file_size(),
                          "no record names it: in quarantine for two weeks, should older records be restored", true});
    if (options_.dry_run) return;
    fs::create_directory(store_.paths.quarantine());
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now());  // its term begins
    fs::rename(entry.path(), target);
  }

  void empty_quarantine(const std::set<std::string>& packs, const std::set<std::string>& disks) {
    std::error_code none;
    for (const fs::directory_entry& entry : fs::directory_iterator(store_.paths.quarantine(), none)) {
      const std::string name = entry.path().filename();
      if (packs.contains(name) || disks.contains(name)) {
        store_.bring_back((packs.contains(name) ? store_.paths.packs() : store_.paths.disks()) / name);
        continue;
      }
      if (fs::file_time_type::clock::now() - entry.last_write_time() > quarantine_term)
        remove(entry, "no record has named it for two weeks");
    }
  }

  void remove_staged(const std::set<std::string>& leases, const std::set<Digest>& contents) {
    std::vector<fs::directory_entry> gone;
    for (const fs::directory_entry& entry : fs::directory_iterator(store_.paths.staging())) {
      const std::string holder = holder_of(entry.path());
      if (leases.contains(holder) || is_beginning(holder)) continue;
      if (const auto copy = kept_copy(store_.paths, entry.path()); copy && !contents.contains(copy->content))
        report(entry, *copy);
      else
        gone.push_back(entry);  // removed after the last look at a note
    }
    for (const fs::directory_entry& entry : gone) remove(entry, "whoever made it is gone");
  }

  void report(const fs::directory_entry& entry, const UnfinishedCopy& copy) {
    if (entry.path().extension() != ".pack") return;
    const std::string content = to_hex(copy.content).substr(0, 12);  // as much as a table's line has room for
    out_.items.push_back({Kind::file, entry.path().lexically_relative(store_.paths.root), copy.bytes,
                          "a copy of sha256:" + content + " can go on from it until " + copy.until, true});
  }

  /// Marks of packs that are gone.
  void forget_damage(const std::set<std::string>& packs) const {
    std::error_code none;
    for (const fs::directory_entry& entry : fs::directory_iterator(store_.paths.damaged(), none))
      if (!packs.contains(store_.paths.pack(entry.path().filename()).filename())) fs::remove(entry.path(), none);
  }

  /// A lease has its file a moment before it has its record.
  bool is_beginning(const std::string& holder) const {
    std::error_code gone;
    const auto made = fs::last_write_time(store_.paths.lease(holder), gone);
    return !gone && fs::file_time_type::clock::now() - made < options_.grace && Lease::is_held(store_.paths, holder);
  }

  void remove(const fs::directory_entry& entry, const char* why) {
    std::error_code error;
    const std::uint64_t bytes = entry.is_regular_file(error) ? entry.file_size(error) : 0;
    if (!gone_.contains(entry.path().filename()) && entry.path().extension() != ".sweep")
      out_.items.push_back({Kind::file, entry.path().lexically_relative(store_.paths.root), error ? 0 : bytes, why});
    if (options_.dry_run) return;
    fs::remove_all(entry.path(), error);
    if (error) throw system_error("cannot remove " + entry.path().string(), error.value());
  }

  Store& store_;
  CollectOptions options_;
  Collected out_;
  std::set<std::string> gone_;  // names of files whose records went in this collection
};

}  // namespace

Collected collect(Store& store, const CollectOptions& options) {
  return Collection(store, options).run();
}

bool has_leftovers(const Store& store) {
  for (const fs::directory_entry& entry : fs::directory_iterator(store.paths.staging()))
    if (!Lease::is_held(store.paths, holder_of(entry.path())) && !kept_copy(store.paths, entry.path())) return true;
  return false;
}

}  // namespace kiln

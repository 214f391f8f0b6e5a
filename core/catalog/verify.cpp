#include "catalog/verify.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "catalog/image_parts.h"
#include "catalog/stored_disk.h"
#include "disk/manifest.h"

namespace kiln {
namespace {

/// One disk as far as it can be read: its manifest, its packs, and the images that are harmed with it.
struct CheckedDisk {
  Manifest manifest;
  std::set<std::filesystem::path> packs;
  std::vector<std::string> images;
};

class Verification {
 public:
  Verification(const Store& store, const VerifyOptions& options) : store_(store), options_(options) {}

  VerifyReport run(const std::optional<Image>& only) {
    std::vector<DiskRecord> disks;
    for (const DiskRecord& disk : store_.records.disks())
      if (!only || has_content(*only, disk.content)) disks.push_back(disk);
    {
      const FileLock keep = store_.keep_files();
      for (const DiskRecord& disk : disks) open_disk(disk);
      if (!only)
        for (const PackRecord& pack : store_.records.packs()) open_pack(pack.id);
    }
    const ChunkIndex index(packs_);
    find_missing(index);
    collect_jobs(index, only.has_value());
    read_all();
    mark_packs(!only);
    name_images();
    return std::move(report_);
  }

 private:
  struct Job {
    const PackFile* pack;
    const PackEntry* entry;
  };

  std::vector<std::string> images_with(const Digest& content) const {
    std::vector<std::string> ids;
    for (const ImageEntry& entry : store_.images.list({.content = content})) ids.push_back(entry.image.id);
    return ids;
  }

  void open_disk(const DiskRecord& disk) {
    std::vector<std::string> images = images_with(disk.content);
    const auto ids = store_.records.packs_of(disk.content);
    if (images.empty() || !ids) return;  // its image was removed a moment ago
    std::set<std::filesystem::path> packs;
    for (const std::string& id : *ids) {
      packs.insert(store_.paths.pack(id));
      open_pack(id);
    }
    for (const auto& pack : packs) images_of_file_[pack].insert(images.begin(), images.end());
    const auto file = store_.paths.manifest(disk.content);
    images_of_file_[file].insert(images.begin(), images.end());
    try {
      Manifest manifest = open_manifest(store_, disk.content);
      disks_.push_back({std::move(manifest), std::move(packs), std::move(images)});
    } catch (const Error& error) {
      report_.damaged.push_back({{}, file, 0, std::string("the manifest cannot be used: ") + error.what(), {}, {}});
    }
  }

  void open_pack(const std::string& id) {
    const auto path = store_.paths.pack(id);
    if (!seen_.insert(path).second) return;
    try {
      packs_.push_back(std::make_shared<const PackFile>(path));
      if (packs_.back()->index_was_damaged())
        report_.damaged.push_back(
            {{}, path, 0, "the pack's header or index is damaged; its records were read one by one", {}, {}});
    } catch (const Error& error) {
      report_.damaged.push_back({{}, path, 0, std::string("the pack cannot be read: ") + error.what(), {}, {}});
    }
  }

  void find_missing(const ChunkIndex& index) {
    std::set<Digest> missing;
    for (const CheckedDisk& disk : disks_)
      for (const Manifest::Entry& entry : disk.manifest.entries())
        if (!index.contains(entry.digest) && missing.insert(entry.digest).second)
          report_.damaged.push_back({entry.digest, {}, 0, "no pack holds it", {}, {}});
  }

  void collect_jobs(const ChunkIndex& index, bool only_wanted) {
    std::set<const PackEntry*> wanted;
    if (only_wanted)
      for (const CheckedDisk& disk : disks_)
        for (const Manifest::Entry& entry : disk.manifest.entries())
          if (const auto found = index.find(entry.digest); found.entry != nullptr) wanted.insert(found.entry);
    for (const auto& pack : packs_)
      for (const PackEntry& entry : pack->entries()) {
        if (only_wanted && !wanted.contains(&entry)) continue;
        jobs_.push_back({pack.get(), &entry});
        report_.bytes += entry.stored;
      }
    report_.chunks = jobs_.size();
  }

  void read_all() {
    std::vector<std::thread> threads;
    const unsigned count = std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 1; i < count; ++i) threads.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : threads) thread.join();
    if (options_.stop.stop_requested()) throw cancelled();
    if (error_) std::rethrow_exception(error_);
    std::ranges::sort(report_.damaged, {}, [](const DamagedChunk& c) { return std::pair(c.file, c.offset); });
  }

  void work() noexcept {
    constexpr std::size_t block = 32;
    try {
      for (std::size_t at; !options_.stop.stop_requested() && (at = next_.fetch_add(block)) < jobs_.size();) {
        std::uint64_t bytes = 0;
        for (std::size_t i = at; i < std::min(at + block, jobs_.size()); ++i) bytes += check(jobs_[i]);
        const std::lock_guard lock(mutex_);
        done_ += bytes;
        if (options_.progress) options_.progress(done_, report_.bytes);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
  }

  std::uint64_t check(const Job& job) {
    if (std::string why = job.pack->damage(*job.entry); !why.empty()) {
      const std::lock_guard lock(mutex_);
      report_.damaged.push_back({job.entry->digest, job.pack->path(), job.entry->offset, std::move(why), {}, {}});
    }
    return job.entry->stored;
  }

  /// So that nobody publishes onto what is damaged; and what a whole store's verification found mended counts again.
  void mark_packs(bool all) const {
    std::set<std::string> damaged;
    for (const DamagedChunk& chunk : report_.damaged)
      if (chunk.file.extension() == ".pack" && !chunk.digest.is_zero_chunk()) damaged.insert(chunk.file.stem());
    std::error_code ignored;  // a store that is read-only is verified all the same
    if (!damaged.empty()) std::filesystem::create_directory(store_.paths.damaged(), ignored);
    for (const std::string& pack : damaged)
      if (!std::filesystem::exists(store_.paths.damage_mark(pack), ignored)) try {
          File::create(store_.paths.damage_mark(pack));
        } catch (const Error&) {
        }
    if (all && std::filesystem::exists(store_.paths.damaged(), ignored))
      for (const auto& mark : std::filesystem::directory_iterator(store_.paths.damaged(), ignored))
        if (!damaged.contains(mark.path().filename())) std::filesystem::remove(mark.path(), ignored);
  }

  void name_images() {
    std::map<Digest, std::vector<DamagedChunk*>> by_digest;
    for (DamagedChunk& chunk : report_.damaged) {
      if (const auto users = images_of_file_.find(chunk.file); users != images_of_file_.end())
        chunk.keepers.assign(users->second.begin(), users->second.end());
      if (!chunk.digest.is_zero_chunk())
        by_digest[chunk.digest].push_back(&chunk);
      else if (const auto images = images_of_file_.find(chunk.file); images != images_of_file_.end())
        chunk.images.assign(images->second.begin(), images->second.end());
    }
    if (by_digest.empty()) return;
    for (const CheckedDisk& disk : disks_) {
      std::set<DamagedChunk*> harmful;
      for (const Manifest::Entry& entry : disk.manifest.entries())
        if (const auto found = by_digest.find(entry.digest); found != by_digest.end())
          for (DamagedChunk* chunk : found->second)
            if (chunk->file.empty() || disk.packs.contains(chunk->file)) harmful.insert(chunk);
      for (DamagedChunk* chunk : harmful)
        chunk->images.insert(chunk->images.end(), disk.images.begin(), disk.images.end());
    }
  }

  const Store& store_;
  const VerifyOptions& options_;
  VerifyReport report_;
  std::vector<CheckedDisk> disks_;
  ChunkIndex::Packs packs_;
  std::set<std::filesystem::path> seen_;
  std::map<std::filesystem::path, std::set<std::string>> images_of_file_;
  std::vector<Job> jobs_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;  // of what follows, and of report_.damaged while threads run
  std::uint64_t done_ = 0;
  std::exception_ptr error_;
};

}  // namespace

VerifyReport verify_store(const Store& store, const std::optional<Image>& only, const VerifyOptions& options) {
  return Verification(store, options).run(only);
}

}  // namespace kiln

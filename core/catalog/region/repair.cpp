#include "catalog/region/repair.h"

#include <map>
#include <set>
#include <unordered_set>
#include <utility>

#include <kiln/file.h>

#include "catalog/collection.h"
#include "catalog/lease.h"
#include "catalog/pack_writer.h"
#include "catalog/store.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

class Repair {
 public:
  Repair(Store& store, const Region& from, const VerifyOptions& options, RepairReport& report)
      : store_(store),
        from_(from),
        options_(options),
        report_(report),
        // Of no owner: what is mended costs nobody anything.
        lease_(store.leases, store.paths, random_id(), home_region, "", store.lease_term) {}

  /// True when one was mended: then what it lists can be verified.
  bool mend_manifests(const VerifyReport& found) {
    const std::uint64_t before = report_.manifests;
    for (const DamagedChunk& damage : found.damaged)
      if (const auto content = parse_digest(damage.file.stem().string());
          content && damage.file.extension() == ".manifest")
        attempt("manifest " + damage.file.string(), [&] { fetch_manifest(*content, damage.file); });
    return report_.manifests > before;
  }

  void mend_packs(const VerifyReport& found) {
    std::set<std::string> packs;
    bool some_are_lost = false;
    for (const DamagedChunk& damage : found.damaged) {
      if (damage.file.extension() == ".pack") packs.insert(damage.file.stem());
      some_are_lost = some_are_lost || damage.file.empty();
    }
    // A chunk that no pack holds was in one that cannot be read whole.
    if (some_are_lost)
      for (const PackRecord& pack : store_.records.packs())
        if (!fs::exists(store_.paths.pack(pack.id))) packs.insert(pack.id);
    for (const std::string& pack : packs) attempt("pack " + pack, [&] { write_anew(pack); });
  }

 private:
  template <class F>
  void attempt(const std::string& what, F&& mend) {
    if (options_.stop.stop_requested()) throw cancelled();
    try {
      mend();
    } catch (const Error& error) {
      if (is_cancelled(error)) throw;
      report_.left.push_back(what + ": " + error.what());
    }
  }

  void fetch_manifest(const Digest& content, const fs::path& file) {
    Image image;
    image.content = content;
    const Manifest whole = from_.manifest(image);
    PendingFile pending(file);
    File::create(pending.path()).write_at(0, whole.bytes());
    pending.commit(true);
    ++report_.manifests;
  }

  std::shared_ptr<const PackFile> open(const std::string& id) const {
    try {
      return std::make_shared<const PackFile>(store_.paths.pack(id));
    } catch (const Error&) {
      return nullptr;
    }
  }

  /// The digests that the disks need of a pack: those that are in it, and those that are in no pack of theirs.
  std::vector<Digest> needed_of(const std::string& id, const PackFile* pack, const std::vector<Digest>& disks) const {
    std::unordered_set<Digest> here, seen;
    if (pack != nullptr)
      for (const PackEntry& entry : pack->entries()) here.insert(entry.digest);
    std::vector<Digest> out;
    for (const Digest& disk : disks) {
      ChunkIndex::Packs others;
      const auto packs = store_.records.packs_of(disk);
      if (!packs) continue;  // its image was removed a moment ago
      for (const std::string& other : *packs)
        if (auto file = other == id ? nullptr : open(other)) others.push_back(std::move(file));
      const ChunkIndex elsewhere(std::move(others));
      const Manifest manifest = Manifest::open(store_.paths.manifest(disk));
      for (const Manifest::Entry& entry : manifest.entries())
        if ((here.contains(entry.digest) || !elsewhere.contains(entry.digest)) && seen.insert(entry.digest).second)
          out.push_back(entry.digest);
    }
    return out;
  }

  /// The chunk's record, from the pack when it is whole there.
  std::vector<std::byte> whole_record(const Digest& digest, const ChunkIndex& pack) {
    if (const auto found = pack.find(digest); found.entry != nullptr)
      if (auto record = pack.packs()[found.pack]->record(*found.entry); !record.empty()) return record;
    std::vector<std::byte> chunk(chunk_size);
    from_.read_chunk(digest, chunk);
    ++report_.fetched_chunks;
    return make_record(digest, chunk);
  }

  PackRecord write_pack(const fs::path& file, const std::string& id, const std::vector<Digest>& digests,
                        const ChunkIndex& pack) {
    PackWriter writer(file);
    std::vector<PackEntry> entries;
    for (const Digest& digest : digests) {
      if (options_.stop.stop_requested()) throw cancelled();
      const std::vector<std::byte> record = whole_record(digest, pack);
      const std::uint64_t at = writer.reserve(record.size());
      writer.fill(at, record);
      entries.push_back(
          {digest, at, static_cast<std::uint32_t>(record.size() - record_header_size), static_cast<Codec>(record[8])});
    }
    return {id, writer.seal(entries), entries.size()};
  }

  void write_anew(const std::string& old) {
    const std::string id = random_id();
    const fs::path staged = store_.paths.staging() / (lease_.id() + "." + id + ".pack");
    const auto file = open(old);
    const std::vector<Digest> disks = store_.records.disks_of(old);
    const ChunkIndex pack(file ? ChunkIndex::Packs{file} : ChunkIndex::Packs{});
    try {
      const PackRecord fresh = write_pack(staged, id, needed_of(old, file.get(), disks), pack);
      const FileLock named_and_recorded = store_.keep_files();
      lease_.require();
      std::error_code error;
      fs::rename(staged, store_.paths.pack(id), error);
      if (error) throw system_error("cannot name " + store_.paths.pack(id).string(), error.value());
      sync_directory(store_.paths.packs());
      store_.records.replace_pack(old, fresh, disks);
    } catch (...) {
      std::error_code ignored;
      fs::remove(staged, ignored);
      throw;
    }
    ++report_.new_packs;
  }

  Store& store_;
  const Region& from_;
  const VerifyOptions& options_;
  RepairReport& report_;
  Lease lease_;
};

}  // namespace

RepairReport repair(LocalCatalog& catalog, std::optional<std::string_view> reference, const Region& from,
                    const VerifyOptions& options) {
  if (reference) (void)catalog.show(*reference, Action::change);
  RepairReport report;
  VerifyReport found = catalog.verify(reference, options);
  report.damaged = found.damaged.size();
  if (found.damaged.empty()) return report;
  Store& store = catalog.view().store();
  {
    Repair work(store, from, options, report);
    if (work.mend_manifests(found)) found = catalog.verify(reference, options);
    work.mend_packs(found);
  }
  (void)collect(store);  // the packs that were replaced
  return report;
}

}  // namespace kiln

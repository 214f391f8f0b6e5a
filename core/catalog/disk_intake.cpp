#include "catalog/disk_intake.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <system_error>
#include <utility>

#include "catalog/collection.h"
#include "catalog/stored_disk.h"

namespace kiln {

namespace fs = std::filesystem;

/// The records of a batch's new chunks, one after the other as they will be in the pack.
struct EncodedBatch final : Encoded {
  struct Piece {
    PackEntry entry;  // offset: of the record, in `records` until it is placed, then in the pack
    std::size_t at;   // of the record in `records`
  };
  std::unique_ptr<std::byte[]> records;
  std::vector<Piece> pieces;
};

namespace {

/// The packs that a publish may count on, once it has its lease. A pack that got lost or is known to be damaged does
/// not keep anybody from publishing: its chunks count as new.
std::vector<std::string> ids_of_present(const Store& store) {
  std::vector<std::string> ids;
  for (const PackRecord& pack : store.records.packs())
    if (pack.condemned.empty() && fs::exists(store.paths.pack(pack.id)) &&
        !fs::exists(store.paths.damage_mark(pack.id)))
      ids.push_back(pack.id);
  return ids;
}

void rename_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw system_error("cannot name " + to.string(), error.value());
}

}  // namespace

DiskIntake::DiskIntake(std::shared_ptr<Store> store, std::uint64_t size, const std::string& owner,
                       std::optional<ImageRow> making)
    : store_(std::move(store)),
      size_(size),
      id_(random_id()),
      lease_(std::make_unique<Lease>(store_->leases, store_->paths, id_, home_region, owner, store_->lease_term, making,
                                     !making)),
      charge_(*store_, home_region, owner),
      staged_pack_(store_->paths.staging() / (id_ + ".pack")),
      staged_manifest_(store_->paths.staging() / (id_ + ".manifest")),
      here_({}),
      manifest_(std::make_unique<ManifestSink>(staged_manifest_, size)) {
  count_on_what_is_here();
}

void DiskIntake::count_on_what_is_here() {
  here_ids_ = ids_of_present(*store_);
  here_ = ChunkIndex(store_->open_packs(here_ids_));
  here_in_use_.assign(here_ids_.size(), false);
}

DiskIntake::~DiskIntake() {
  if (recorded_) return;
  if (!left_) discard_pack();
  manifest_.reset();
  std::error_code ignored;
  fs::remove(staged_manifest_, ignored);
  lease_.reset();
  if (recording_) collect_what_ended();
}

/// A transaction that failed at its end may still be there after a crash: the records decide about the files.
void DiskIntake::collect_what_ended() noexcept {
  try {
    collect(*store_, {.ended = id_});
  } catch (const std::exception&) {
    // the next one who opens the store collects
  }
}

void DiskIntake::failed(const std::string& why) noexcept {
  if (!recorded_ && lease_) lease_->failed(why);
}

void DiskIntake::resume(const Manifest& manifest, const std::stop_token& stop) {
  note_ = std::make_unique<CopyNote>(store_->paths, id_, manifest.content());
  entries_ = adopt_unfinished(*store_, manifest, staged_pack_, stop);
  if (entries_.empty()) return;
  for (const PackEntry& entry : entries_) {
    resumed_.insert(entry.digest);
    resumed_bytes_ += record_header_size + entry.stored;
    charge_.count(entry.digest, entry.stored);
  }
  placed_ = resumed_;
  charge_.cover(*lease_);
  pack_ = std::make_unique<PackWriter>(staged_pack_, pack_header_size + resumed_bytes_);
}

void DiskIntake::leave() noexcept {
  std::error_code ignored;
  if (!note_ || !fs::exists(staged_pack_, ignored)) return;
  try {
    if (pack_) pack_->drain();
  } catch (const std::exception&) {
    return;  // the disk is full or fails: what was staged goes
  }
  pack_.reset();
  note_->keep();
  note_.reset();
  left_ = true;
}

bool DiskIntake::is_placed(const Digest& digest) const {
  const std::shared_lock lock(placed_mutex_);
  return placed_.contains(digest);
}

std::unique_ptr<Encoded> DiskIntake::encode(std::shared_ptr<const Batch> batch) const {
  auto out = std::make_unique<EncodedBatch>();
  std::size_t used = 0;
  for (std::size_t i = 0; i < batch->digests.size(); ++i) {
    const Digest& digest = batch->digests[i];
    if (digest.is_zero_chunk() || here_.contains(digest) || is_placed(digest)) continue;
    constexpr std::size_t largest = record_header_size + chunk_size;
    if (!out->records) out->records = std::make_unique_for_overwrite<std::byte[]>(batch->digests.size() * largest);
    const std::span<std::byte> room(out->records.get() + used, largest);
    const EncodedChunk chunk =
        encode_chunk(batch->bytes.subspan(i * chunk_size, chunk_size), room.subspan(record_header_size));
    const PackEntry entry{digest, 0, static_cast<std::uint32_t>(chunk.size), chunk.codec};
    put_record_header(room, entry);
    out->pieces.push_back({entry, used});
    used += record_header_size + chunk.size;
  }
  out->batch = std::move(batch);
  return out;
}

void DiskIntake::append(Encoded& encoded) {
  manifest_->append(encoded);
  place(static_cast<EncodedBatch&>(encoded));
  for (const Digest& digest : encoded.batch->digests) {
    if (digest.is_zero_chunk()) continue;
    ++all_chunks_;
    if (const auto found = here_.find(digest); found.entry != nullptr) {
      here_in_use_[found.pack] = true;
      charge_.count(digest, found.entry->stored);
    }
  }
  charge_.cover(*lease_);
}

void DiskIntake::place(EncodedBatch& batch) {
  if (batch.pieces.empty()) return;
  if (!pack_) pack_ = std::make_unique<PackWriter>(staged_pack_);
  const std::unique_lock lock(placed_mutex_);
  // The same chunk may be twice in a batch, or in two batches that were encoded at the same time.
  std::erase_if(batch.pieces, [&](const EncodedBatch::Piece& p) { return !placed_.insert(p.entry.digest).second; });
  std::size_t size = 0;
  for (const EncodedBatch::Piece& piece : batch.pieces) size += record_header_size + piece.entry.stored;
  std::uint64_t at = pack_->reserve(size);
  for (EncodedBatch::Piece& piece : batch.pieces) {
    piece.entry.offset = at;
    at += record_header_size + piece.entry.stored;
    entries_.push_back(piece.entry);
    charge_.count(piece.entry.digest, piece.entry.stored);
  }
}

void DiskIntake::store(Encoded& encoded) {
  auto& batch = static_cast<EncodedBatch&>(encoded);
  for (std::size_t i = 0; i < batch.pieces.size();) {
    // Pieces that are neighbours in both places go together.
    const EncodedBatch::Piece& first = batch.pieces[i];
    std::size_t length = 0;
    for (; i < batch.pieces.size() && batch.pieces[i].at == first.at + length; ++i)
      length += record_header_size + batch.pieces[i].entry.stored;
    pack_->fill(first.entry.offset, std::span(batch.records.get() + first.at, length));
  }
}

std::optional<PackRecord> DiskIntake::seal_pack() {
  if (!pack_) return std::nullopt;
  const std::uint64_t size = pack_->seal(entries_);
  pack_.reset();
  return PackRecord{id_, size, entries_.size()};
}

std::vector<std::string> DiskIntake::packs_in_use() const {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < here_ids_.size(); ++i)
    if (here_in_use_[i]) ids.push_back(here_ids_[i]);
  if (!entries_.empty()) ids.push_back(id_);
  return ids;
}

void DiskIntake::discard_pack() noexcept {
  pack_.reset();
  entries_.clear();
  std::error_code ignored;
  fs::remove(staged_pack_, ignored);
  note_.reset();
}

void DiskIntake::move_into_place(bool with_pack) {
  const StorePaths& paths = store_->paths;
  if (with_pack) {
    using fs::perms;  // never written again
    fs::permissions(staged_pack_, perms::owner_read | perms::group_read | perms::others_read);
    rename_file(staged_pack_, paths.pack(id_));
    sync_directory(paths.packs());
  }
  File::open_write(staged_manifest_).sync();
  rename_file(staged_manifest_, paths.manifest(content_));
  sync_directory(paths.disks());
}

const Digest& DiskIntake::complete() {
  lease_->require();  // a collection that took it for dead has removed what was staged
  manifest_->finish();
  content_ = manifest_->content();
  return content_;
}

std::uint64_t DiskIntake::record_with_own_files(NewDisk add, const Transaction& record) {
  add.files = true;
  add.packs = packs_in_use();
  add.pack = seal_pack();
  const FileLock named_and_recorded = store_->keep_files();
  recording_ = true;
  move_into_place(add.pack.has_value());
  const std::uint64_t bytes = record(add).value();
  std::error_code ignored;
  if (add.pack && bytes == 0) fs::remove(store_->paths.pack(id_), ignored);  // another one was faster
  return bytes;
}

std::uint64_t DiskIntake::record(const Transaction& record) {
  charge_.settle(*lease_);
  NewDisk add;
  add.disk = {content_, size_, all_chunks_};
  add.lease = id_;
  std::optional<std::uint64_t> bytes;
  // Somebody may have stored the same content meanwhile; then nothing of ours is needed.
  const auto packs = store_->records.packs_of(content_);
  if (packs) {
    const FileLock keep = store_->keep_files();
    add.replaces_packs = !is_whole(*store_, content_, *packs);
  }
  if (packs && !add.replaces_packs) bytes = record(add);
  if (!bytes) bytes = record_with_own_files(add, record);
  recorded_ = true;
  if (*bytes == 0) discard_pack();
  std::error_code ignored;
  fs::remove(staged_manifest_, ignored);
  note_.reset();
  return *bytes;
}

void DiskIntake::redeemed() noexcept {
  lease_->redeemed();
  lease_.reset();
}

void DiskIntake::end_part() noexcept {
  if (!recorded_ || !lease_) return;
  bool is_unneeded = false;
  try {
    is_unneeded = lease_->is_there();
  } catch (const std::exception&) {
    // the next one who opens the store ends the lease
  }
  lease_.reset();
  if (is_unneeded) collect_what_ended();
}

}  // namespace kiln

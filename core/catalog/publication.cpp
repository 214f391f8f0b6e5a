#include "catalog/publication.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <system_error>
#include <utility>

#include "catalog/collection.h"
#include "catalog/names.h"
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

ImageRow row_of(const ImageDraft& draft) {
  return {.id = {},
          .region = {},
          .owner = {},
          .name = draft.name,
          .version = draft.version,
          .created = {},
          .facts = facts_text(draft.facts)};
}

}  // namespace

Publication::Publication(std::shared_ptr<Store> store, ImageDraft draft, std::string owner,
                         std::shared_ptr<const SigningKey> signing_key)
    : store_(std::move(store)),
      draft_(std::move(draft)),
      owner_(std::move(owner)),
      signing_key_(std::move(signing_key)),
      id_(random_id()),
      lease_(std::make_unique<Lease>(store_->leases, store_->paths, id_, home_region, owner_, store_->lease_term,
                                     row_of(draft_))),
      charge_(*store_, home_region, owner_),
      staged_pack_(store_->paths.staging() / (id_ + ".pack")),
      staged_manifest_(store_->paths.staging() / (id_ + ".manifest")),
      here_({}),
      here_ids_(ids_of_present(*store_)),
      manifest_(std::make_unique<ManifestSink>(staged_manifest_, draft_.virtual_size)) {
  here_ = ChunkIndex(store_->open_packs(here_ids_));
  here_in_use_.resize(here_ids_.size());
}

Publication::~Publication() {
  if (recorded_) return;
  if (!left_) discard_pack();
  manifest_.reset();
  std::error_code ignored;
  fs::remove(staged_manifest_, ignored);
  lease_.reset();
  if (!recording_) return;
  // A transaction that failed at its end may still be there after a crash: the records decide about the files.
  try {
    collect(*store_, {.ended = id_});
  } catch (const std::exception&) {
    // the next one who opens the store collects
  }
}

void Publication::failed(const std::string& why) noexcept {
  if (!recorded_ && lease_) lease_->failed(why);
}

void Publication::resume(const Manifest& manifest, const std::stop_token& stop) {
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

void Publication::leave() noexcept {
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

bool Publication::is_placed(const Digest& digest) const {
  const std::shared_lock lock(placed_mutex_);
  return placed_.contains(digest);
}

std::unique_ptr<Encoded> Publication::encode(std::shared_ptr<const Batch> batch) const {
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

void Publication::append(Encoded& encoded) {
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

void Publication::place(EncodedBatch& batch) {
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

void Publication::store(Encoded& encoded) {
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

std::optional<PackRecord> Publication::seal_pack() {
  if (!pack_) return std::nullopt;
  const std::uint64_t size = pack_->seal(entries_);
  pack_.reset();
  return PackRecord{id_, size, entries_.size()};
}

std::vector<std::string> Publication::packs_in_use() const {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < here_ids_.size(); ++i)
    if (here_in_use_[i]) ids.push_back(here_ids_[i]);
  if (!entries_.empty()) ids.push_back(id_);
  return ids;
}

void Publication::discard_pack() noexcept {
  pack_.reset();
  entries_.clear();
  std::error_code ignored;
  fs::remove(staged_pack_, ignored);
  note_.reset();
}

void Publication::move_into_place(bool with_pack) {
  const StorePaths& paths = store_->paths;
  if (with_pack) {
    using fs::perms;  // never written again
    fs::permissions(staged_pack_, perms::owner_read | perms::group_read | perms::others_read);
    rename_file(staged_pack_, paths.pack(id_));
    sync_directory(paths.packs());
  }
  File::open_write(staged_manifest_).sync();
  rename_file(staged_manifest_, paths.manifest(image_.content));
  sync_directory(paths.disks());
}

NewImage Publication::new_image() const {
  NewImage add{.image = image_,
               .region = home_region,
               .owner = owner_,
               .channel = draft_.channel,
               .parents = {},
               .disk = {image_.content, image_.virtual_size, all_chunks_},
               .files = false,
               .pack = {},
               .packs = {},
               .lease = id_,
               .replaces_packs = false,
               .original = original_,
               .signing_key = signing_key_};
  if (original_)
    add.parents = original_->parents;
  else if (const auto parent = draft_.facts.find("parent"); parent != draft_.facts.end())
    add.parents = {parent->second};
  return add;
}

Image Publication::record_with_own_files(NewImage add) {
  add.files = true;
  add.packs = packs_in_use();
  add.pack = seal_pack();
  if (add.pack) add.image.stored_bytes = add.pack->bytes;
  const FileLock named_and_recorded = store_->keep_files();
  recording_ = true;
  move_into_place(add.pack.has_value());
  Image image = store_->images.add(add).value();
  std::error_code ignored;
  if (add.pack && image.stored_bytes == 0) fs::remove(store_->paths.pack(id_), ignored);  // another one was faster
  return image;
}

void Publication::finish() {
  lease_->require();  // a collection that took it for dead has removed what was staged
  manifest_->finish();
  if (original_ && manifest_->content() != original_->image.content)
    throw Error("what arrived is not the disk of image " + original_->reference(),
                "look for damage where it came from: kiln image verify",
                {"it should be sha256:" + to_hex(original_->image.content),
                 "it is        sha256:" + to_hex(manifest_->content())});
  charge_.settle(*lease_);
  image_.id = original_ ? original_->image.id : id_;
  image_.name = draft_.name;
  image_.version = draft_.version;
  image_.content = manifest_->content();
  image_.virtual_size = draft_.virtual_size;
  image_.facts = draft_.facts;
  NewImage add = new_image();
  std::optional<Image> recorded;
  // Somebody may have published the same content meanwhile; then nothing of ours is needed.
  const auto packs = store_->records.packs_of(image_.content);
  if (packs) {
    const FileLock keep = store_->keep_files();
    add.replaces_packs = !is_whole(*store_, image_.content, *packs);
  }
  if (packs && !add.replaces_packs) recorded = store_->images.add(add);
  if (!recorded) recorded = record_with_own_files(add);
  image_ = *recorded;
  recorded_ = true;
  lease_->redeemed();
  if (image_.stored_bytes == 0) discard_pack();
  std::error_code ignored;
  fs::remove(staged_manifest_, ignored);
  note_.reset();
  lease_.reset();
}

}  // namespace kiln

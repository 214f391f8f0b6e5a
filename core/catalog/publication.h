#pragma once
// One publish: takes a disk's chunks, stores those that are new, and makes the image exist in one transaction.
//
// Order of writes: the lease, the pack in staging/, its fsync, the manifest, its fsync, their renames into packs/ and
// disks/, the fsync of both folders, the transaction, which ends the lease. Whatever ends it before the transaction
// leaves files without records only.

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <unordered_set>
#include <vector>

#include <kiln/catalog.h>

#include "catalog/charge.h"
#include "catalog/chunk_index.h"
#include "catalog/lease.h"
#include "catalog/pack_writer.h"
#include "catalog/store.h"
#include "catalog/unfinished_copy.h"
#include "disk/manifest.h"

namespace kiln {

class Publication final : public ImageSink {
 public:
  /// `owner`: whose the image will be. `signing_key`: what signs it; null: nobody does.
  Publication(std::shared_ptr<Store>, ImageDraft, std::string owner,
              std::shared_ptr<const SigningKey> signing_key = {});
  ~Publication() override;

  bool knows(const Digest& digest) const override { return here_.contains(digest) || resumed_.contains(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const override;
  void append(Encoded&) override;
  void store(Encoded&) override;
  void finish() override;
  void failed(const std::string& why) noexcept override;

  /// Before finish(): the image is a copy of this one, and keeps its id, parents, labels and dates.
  void take_over(ImageEntry original) { original_ = std::move(original); }
  /// Before the first chunk: the disk is this one. Chunks that a copy of it stored which was killed, or called leave(),
  /// are known from here on; and when this one is killed, the next can go on from it. Throws refused() when they are
  /// too much for the owner's quota.
  void resume(const Manifest&, const std::stop_token&);
  /// Instead of finish(), after resume(), also one that throws: what is stored stays for the next copy.
  void leave() noexcept;

  void set_facts(Facts facts) override { draft_.facts = std::move(facts); }
  const Image& image() const override { return image_; }
  std::uint64_t new_chunks() const override { return entries_.size(); }
  std::uint64_t all_chunks() const override { return all_chunks_; }
  /// Of the new chunks those that resume() found, and the bytes of their records. None when another publish was faster.
  std::uint64_t resumed_chunks() const { return entries_.empty() ? 0 : resumed_.size(); }
  std::uint64_t resumed_bytes() const { return entries_.empty() ? 0 : resumed_bytes_; }

 private:
  bool is_placed(const Digest&) const;
  void place(struct EncodedBatch&);
  NewImage new_image() const;
  Image record_with_own_files(NewImage);
  std::optional<PackRecord> seal_pack();
  std::vector<std::string> packs_in_use() const;
  void move_into_place(bool with_pack);
  void discard_pack() noexcept;

  std::shared_ptr<Store> store_;
  ImageDraft draft_;
  std::string owner_;
  std::optional<ImageEntry> original_;
  std::shared_ptr<const SigningKey> signing_key_;
  Image image_;
  std::string id_;  // of the lease, of the pack, and of the image unless it is a copy
  std::unique_ptr<Lease> lease_;
  Charge charge_;
  std::filesystem::path staged_pack_, staged_manifest_;
  std::unique_ptr<CopyNote> note_;  // of staged_pack_, which is gone before it
  ChunkIndex here_;                 // what was recorded when this publish began
  std::vector<bool> here_in_use_;   // by pack of here_
  std::vector<std::string> here_ids_;
  std::unique_ptr<ManifestSink> manifest_;
  std::unique_ptr<PackWriter> pack_;  // made for the first new chunk
  std::vector<PackEntry> entries_;    // of the pack
  mutable std::shared_mutex placed_mutex_;
  std::unordered_set<Digest> placed_;  // the digests of entries_
  std::unordered_set<Digest> resumed_;
  std::uint64_t resumed_bytes_ = 0;
  std::uint64_t all_chunks_ = 0;
  bool recorded_ = false, recording_ = false, left_ = false;
};

}  // namespace kiln

#pragma once
// Takes one disk's chunks in under a lease, and stores those that are new: what publishing an image, storing a part of
// one, and receiving a copy have in common.
//
// Order of writes: the lease, the pack in staging/, its fsync, the manifest, its fsync, their renames into packs/ and
// disks/, the fsync of both folders, the transaction. Whatever ends it before the transaction leaves files without
// records only.

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <unordered_set>
#include <vector>

#include <kiln/block.h>

#include "catalog/charge.h"
#include "catalog/chunk_index.h"
#include "catalog/lease.h"
#include "catalog/pack_writer.h"
#include "catalog/store.h"
#include "catalog/unfinished_copy.h"
#include "disk/manifest.h"

namespace kiln {

class DiskIntake {
 public:
  /// `size`: of the disk. `making`: the image of which it is the system disk; nothing: it is a part of one.
  DiskIntake(std::shared_ptr<Store>, std::uint64_t size, const std::string& owner, std::optional<ImageRow> making);
  DiskIntake(const DiskIntake&) = delete;
  DiskIntake& operator=(const DiskIntake&) = delete;
  ~DiskIntake();

  /// Before the first chunk: what was recorded since this was made is known, too.
  void count_on_what_is_here();

  // As the functions of BlockSink.
  bool knows(const Digest& digest) const { return here_.contains(digest) || resumed_.contains(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const;
  void append(Encoded&);
  void store(Encoded&);
  void failed(const std::string& why) noexcept;

  /// Before the first chunk: the disk is this one. Chunks that a copy of it stored which was killed, or called leave(),
  /// are known from here on; and when this one is killed, the next can go on from it. Throws refused() when they are
  /// too much for the owner's quota.
  void resume(const Manifest&, const std::stop_token&);
  /// Instead of complete(), after resume(), also one that throws: what is stored stays for the next copy.
  void leave() noexcept;

  /// After the last chunk. The digest of the content.
  const Digest& complete();
  /// After complete(): puts the files in place, unless the content is on record and whole, and calls `record`, which
  /// does as record_disk() in a transaction of its own, once or twice. Returns what that returned.
  using Transaction = std::function<std::optional<std::uint64_t>(const NewDisk&)>;
  std::uint64_t record(const Transaction& record);
  /// After record(): the transaction has ended the lease.
  void redeemed() noexcept;
  /// Instead: what was recorded is a part. The lease ends; what no image was published with is collected.
  void end_part() noexcept;

  const std::string& id() const { return id_; }       ///< of the lease and of the pack
  const Digest& content() const { return content_; }  ///< after complete()
  std::uint64_t size() const { return size_; }
  std::uint64_t new_chunks() const { return entries_.size(); }
  std::uint64_t all_chunks() const { return all_chunks_; }
  /// Of the new chunks those that resume() found, and the bytes of their records. None when another publish was faster.
  std::uint64_t resumed_chunks() const { return entries_.empty() ? 0 : resumed_.size(); }
  std::uint64_t resumed_bytes() const { return entries_.empty() ? 0 : resumed_bytes_; }

 private:
  bool is_placed(const Digest&) const;
  void place(struct EncodedBatch&);
  std::uint64_t record_with_own_files(NewDisk, const Transaction&);
  std::optional<PackRecord> seal_pack();
  std::vector<std::string> packs_in_use() const;
  void move_into_place(bool with_pack);
  void discard_pack() noexcept;
  void collect_what_ended() noexcept;

  std::shared_ptr<Store> store_;
  std::uint64_t size_;
  std::string id_;
  Digest content_;
  std::unique_ptr<Lease> lease_;
  Charge charge_;
  std::filesystem::path staged_pack_, staged_manifest_;
  std::unique_ptr<CopyNote> note_;  // of staged_pack_, which is gone before it
  ChunkIndex here_;                 // what was recorded when this began
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

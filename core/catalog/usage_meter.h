#pragma once
// Turns the changes of what accounts keep into samples of bytes: who has a chunk alone, and who shares it with whom.
//
// The stored bytes of a chunk are those of its compressed form, counted once, however many packs hold it. A chunk that
// n owners have is divided by n; bytes that cannot be divided go to the first owners by name, so that all shares
// together are the store, to the byte.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "catalog/usage_records.h"

namespace kiln {

class Store;

/// Settles every change on record. Files must not go away meanwhile: hold Store::keep_files(), or the exclusive lock
/// whose holder is about to remove them. Takes about 0.1 µs for each chunk of each distinct disk of each owner, and
/// nothing for further images of the same disk.
void settle_usage(Store&, const Moment& now = now_moment());

/// What each chunk weighs, wherever it is stored. Chunks are numbered, from 0 on.
class ChunkWeights {
 public:
  ChunkWeights() = default;
  ChunkWeights(const ChunkWeights&) = delete;
  ChunkWeights& operator=(const ChunkWeights&) = delete;
  virtual ~ChunkWeights();

  struct Weight {
    std::size_t number;
    std::uint64_t bytes;
  };
  virtual std::size_t count() const = 0;
  /// Nothing for what is not stored.
  virtual std::optional<Weight> find(const Digest&) const = 0;
};

/// The digests of a disk's chunks; none for a disk that is lost. What it returns lives as long as it does.
using ChunksOf = std::function<const std::vector<Digest>&(const Digest& content)>;

/// The steps that the changes of one region make, in order of time; only those that differ from the step before.
std::vector<UsageSample> steps_of(const std::string& region, const UsageRecords::Pending&, const ChunkWeights&,
                                  const ChunksOf&);

/// What the owners of one region have, chunk by chunk. One thread.
class StoredShares {
 public:
  /// Any of the owners that will be named. Borrows the weights.
  StoredShares(const ChunkWeights&, std::vector<std::string> owners);

  /// `holding.images` more, or less, of a disk whose chunks these are. Digests without a weight weigh nothing.
  void change(const Holding& holding, const std::vector<Digest>& chunks);
  /// How many images of that content the owner has: only the first and the last one move any chunk.
  std::int64_t images_of(const std::string& owner, const Digest& content) const;

  /// Of every owner, by name; without moment and region.
  std::vector<UsageSample> samples() const;

 private:
  /// For how many disks of whom a chunk is needed: (owner, disks), by owner.
  using Needs = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

  std::uint32_t state_after(std::uint32_t state, std::uint32_t owner, bool more);
  std::uint32_t owner_at(const std::string& name) const;

  const ChunkWeights& weights_;
  std::vector<std::string> owners_;
  std::vector<std::uint32_t> state_of_;  // by number of the chunk: where in states_
  std::vector<std::uint32_t> seen_in_;   // by number of the chunk: the last change that met it
  std::uint32_t changes_ = 0;
  std::vector<Needs> states_;
  std::vector<std::uint64_t> bytes_;  // by state
  std::map<Needs, std::uint32_t> known_states_;
  std::map<std::pair<std::uint32_t, Digest>, std::int64_t> images_;
  std::vector<std::uint64_t> logical_, count_;  // by owner
};

}  // namespace kiln

#include "catalog/charge.h"

#include <set>

#include "catalog/image_parts.h"
#include "catalog/pack_file.h"
#include "disk/manifest.h"

namespace kiln {
namespace {

constexpr std::uint64_t ahead = 64u << 20;

/// The digests of all chunks of the owner's images, and the sum of their stored bytes.
std::unordered_set<Digest> chunks_of(Store& store, const std::string& region, const std::string& owner,
                                     std::uint64_t& bytes) {
  const FileLock keep = store.keep_files();
  std::set<Digest> disks;
  for (const ImageEntry& entry : store.images.list({.region = region, .owner = owner}))
    for (const Digest& content : contents_of(entry.image)) disks.insert(content);
  std::set<std::string> packs;
  for (const Digest& disk : disks)
    for (std::string& pack : store.records.packs_of(disk).value_or(std::vector<std::string>{}))
      packs.insert(std::move(pack));
  const ChunkIndex index(store.open_packs({packs.begin(), packs.end()}));
  std::unordered_set<Digest> own;
  for (const Digest& disk : disks) {
    const Manifest manifest = Manifest::open(store.paths.manifest(disk));
    for (const Manifest::Entry& entry : manifest.entries())
      if (own.insert(entry.digest).second)
        if (const auto found = index.find(entry.digest); found.entry != nullptr)
          bytes += record_header_size + found.entry->stored;
  }
  return own;
}

}  // namespace

std::optional<Quota> settled_quota(Store& store, const std::string& region, const std::string& owner) {
  for (;;) {
    auto quota = store.leases.quota(region, owner);
    if (!quota || quota->settled) return quota;
    std::uint64_t bytes = 0;
    (void)chunks_of(store, region, owner, bytes);
    store.leases.settle(*quota, bytes);  // false: images came or went meanwhile
  }
}

Charge::Charge(Store& store, const std::string& region, const std::string& owner) {
  if (!settled_quota(store, region, owner)) return;
  counts_ = true;
  std::uint64_t ignored = 0;
  own_ = chunks_of(store, region, owner, ignored);
}

void Charge::count(const Digest& digest, std::uint32_t stored) {
  if (counts_ && own_.insert(digest).second) counted_ += record_header_size + stored;
}

void Charge::cover(Lease& lease) {
  if (counted_ <= reserved_) return;
  try {
    lease.reserve(counted_ + ahead);
    reserved_ = counted_ + ahead;
  } catch (const Error& error) {
    if (error.failure() != Failure::refused) throw;
    lease.reserve(counted_);
    reserved_ = counted_;
  }
}

void Charge::settle(Lease& lease) {
  if (counts_) lease.reserve(counted_);
}

}  // namespace kiln

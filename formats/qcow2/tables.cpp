#include "tables.h"

#include <algorithm>
#include <bit>

#include <kiln/endian.h>

namespace kiln::qcow2 {
namespace {

constexpr std::uint64_t offset_bits = 0x00fffffffffffe00;  // bits 9..55
constexpr std::uint64_t copied = std::uint64_t{1} << 63;   // refcount is 1; no matter for reading
constexpr std::uint64_t compressed = std::uint64_t{1} << 62;
constexpr std::uint64_t reads_as_zero = 1;
constexpr std::uint64_t max_slice_bytes = 16 * 1024;
constexpr unsigned subclusters = 32;

Error bad_entry(const Image& image, std::uint64_t guest, std::uint64_t entry, const std::string& why) {
  return damaged(image.file, "qcow2 L2 entry of disk offset " + hex(guest) + " is " + hex(entry) + ": " + why);
}

Cluster decode_compressed(const Image& image, std::uint64_t guest, std::uint64_t entry) {
  const unsigned host_bits = 62 - (image.header.cluster_bits - 8);
  const std::uint64_t host = entry & ((std::uint64_t{1} << host_bits) - 1);
  const std::uint64_t sectors = ((entry & (compressed - 1)) >> host_bits) + 1;
  const std::uint64_t stored = sectors * 512 - host % 512;
  // The file may end within the last sector.
  const std::uint64_t last_sector = host - host % 512 + (sectors - 1) * 512;
  if (host < image.header.cluster_size()) throw bad_entry(image, guest, entry, "compressed data overlaps the header");
  if (last_sector >= image.file_size || host >= image.file_size)
    throw truncated(image.file, "the qcow2 compressed cluster of disk offset " + hex(guest), last_sector + 1);
  return {Kind::compressed, host, static_cast<std::uint32_t>(stored)};
}

Cluster decode_extended(const Image& image, std::uint64_t guest, std::uint64_t entry, std::uint64_t bitmap) {
  const auto allocated = static_cast<std::uint32_t>(bitmap), zeros = static_cast<std::uint32_t>(bitmap >> 32);
  const std::uint64_t host = entry & offset_bits;
  if ((entry & reads_as_zero) != 0) throw bad_entry(image, guest, entry, "bit 0 is reserved with extended L2 entries");
  if ((allocated & zeros) != 0)
    throw bad_entry(image, guest, entry, "a subcluster is allocated and reads as zeros, bitmap " + hex(bitmap));
  if (host == 0 && allocated != 0) throw bad_entry(image, guest, entry, "allocated subclusters without a host cluster");
  return {host != 0 ? Kind::data : Kind::unallocated, host, 0, allocated, zeros};
}

}  // namespace

Cluster decode_entry(const Image& image, std::uint64_t guest, std::uint64_t entry, std::uint64_t bitmap) {
  if ((entry & compressed) != 0) return decode_compressed(image, guest, entry);
  if ((entry & ~(offset_bits | copied | reads_as_zero)) != 0)
    throw bad_entry(image, guest, entry, "reserved bits are set");
  const std::uint64_t host = entry & offset_bits;
  if (host % image.header.cluster_size() != 0) throw bad_entry(image, guest, entry, "the host cluster is not aligned");
  if (image.header.extended_l2()) return decode_extended(image, guest, entry, bitmap);
  if ((entry & reads_as_zero) != 0) {
    if (image.header.version == 2) throw bad_entry(image, guest, entry, "bit 0 is reserved in version 2");
    return {Kind::zero, host};
  }
  if (host == 0 && entry != 0) throw bad_entry(image, guest, entry, "a cluster that is in use has no place");
  return {host != 0 ? Kind::data : Kind::unallocated, host};
}

std::vector<std::uint64_t> read_l1(const Image& image) {
  std::vector<std::uint64_t> l1(image.header.l1_needed());
  const auto bytes = std::as_writable_bytes(std::span(l1));
  image.file.read_at(image.header.l1_offset, bytes);
  for (std::size_t i = 0; i < l1.size(); ++i) {
    const auto entry = get_be<std::uint64_t>(bytes, i * 8);
    l1[i] = entry & offset_bits;
    if (entry == 0) continue;
    const auto bad = [&](const char* why) {
      return damaged(image.file, "qcow2 L1 entry " + std::to_string(i) + " is " + hex(entry) + why);
    };
    if ((entry & ~(offset_bits | copied)) != 0) throw bad(": reserved bits are set");
    if (l1[i] % image.header.cluster_size() != 0) throw bad(": the L2 table is not aligned");
    if (l1[i] != 0 && l1[i] + image.header.cluster_size() > image.file_size)
      throw truncated(image.file, "the qcow2 L2 table of L1 entry " + std::to_string(i),
                      l1[i] + image.header.cluster_size());
  }
  return l1;
}

Tables::Tables(const Image& image, std::vector<std::uint64_t> l1)
    : image_(image),
      l1_(std::move(l1)),
      slice_bytes_(std::min(image.header.cluster_size(), max_slice_bytes)),
      slice_span_(slice_bytes_ / image.header.l2_entry_bytes() << image.header.cluster_bits) {}

Run Tables::find(std::uint64_t offset, std::uint64_t limit, bool by_kind) const {
  const std::uint64_t span = image_.header.l2_span();
  std::uint64_t index = offset / span;
  if (l1_[index] == 0) {
    while (index < l1_.size() && l1_[index] == 0 && index * span < offset + limit) ++index;
    return {Kind::unallocated, std::min(limit, index * span - offset)};
  }
  limit = std::min(limit, slice_span_ - offset % slice_span_);
  const std::shared_ptr<const Slice> entries = slice(offset);
  return image_.header.extended_l2() ? find_in_extended(*entries, offset, limit, by_kind)
                                     : find_in(*entries, offset, limit, by_kind);
}

std::shared_ptr<const Tables::Slice> Tables::slice(std::uint64_t offset) const {
  const std::uint64_t key = offset / slice_span_;
  Shard& shard = shards_[key % shards_.size()];
  {
    const std::scoped_lock lock(shard.mutex);
    for (Slot& slot : shard.slots)
      if (slot.key == key) {
        slot.used = ++shard.clock;
        return slot.slice;
      }
  }
  const std::uint64_t span = image_.header.l2_span();
  auto entries = std::make_shared<Slice>(slice_bytes_ / 8);
  const auto bytes = std::as_writable_bytes(std::span(*entries));
  image_.file.read_at(l1_[offset / span] + offset % span / slice_span_ * slice_bytes_, bytes);
  for (std::size_t i = 0; i < entries->size(); ++i) (*entries)[i] = get_be<std::uint64_t>(bytes, i * 8);
  const std::scoped_lock lock(shard.mutex);
  Slot& oldest = *std::min_element(shard.slots.begin(), shard.slots.end(),
                                   [](const Slot& a, const Slot& b) { return a.used < b.used; });
  oldest = {key, ++shard.clock, entries};
  return entries;
}

Cluster Tables::cluster_in(const Slice& entries, std::uint64_t offset) const {
  const std::uint64_t at = offset % slice_span_ >> image_.header.cluster_bits;
  const std::uint64_t guest = offset - offset % image_.header.cluster_size();
  return image_.header.extended_l2() ? decode_entry(image_, guest, entries[at * 2], entries[at * 2 + 1])
                                     : decode_entry(image_, guest, entries[at], 0);
}

Run Tables::find_in(const Slice& entries, std::uint64_t offset, std::uint64_t limit, bool by_kind) const {
  const std::uint64_t size = image_.header.cluster_size(), within = offset % size;
  const auto kind_of = [by_kind](const Cluster& c) {
    return by_kind && c.kind == Kind::compressed ? Kind::data : c.kind;
  };
  const Cluster first = cluster_in(entries, offset);
  Run run{kind_of(first), std::min(limit, size - within), first.host, first.stored};
  if (run.kind == Kind::compressed) return run;
  run.host += within;
  const bool contiguous = run.kind == Kind::data && !by_kind;
  while (run.length < limit) {
    const Cluster next = cluster_in(entries, offset + run.length);
    if (kind_of(next) != run.kind || (contiguous && next.host != run.host + run.length)) break;
    run.length = std::min(limit, run.length + size);
  }
  return run;
}

Run Tables::find_in_extended(const Slice& entries, std::uint64_t offset, std::uint64_t limit, bool by_kind) const {
  const std::uint64_t size = image_.header.cluster_size(), piece = size / subclusters;
  Run run;
  while (run.length < limit) {
    const std::uint64_t at = offset + run.length, within = at % size;
    const Cluster cluster = cluster_in(entries, at);
    if (cluster.kind == Kind::compressed && !by_kind) {
      if (run.length == 0) run = {Kind::compressed, std::min(limit, size - within), cluster.host, cluster.stored};
      break;
    }
    const auto kind_of = [&cluster](unsigned i) {
      if (cluster.kind == Kind::compressed || (cluster.allocated >> i & 1) != 0) return Kind::data;
      return (cluster.zeros >> i & 1) != 0 ? Kind::zero : Kind::unallocated;
    };
    auto bit = static_cast<unsigned>(within / piece);
    const Kind kind = kind_of(bit);
    if (run.length == 0) run = {kind, 0, cluster.host + within, 0};
    if (kind != run.kind) break;
    if (kind == Kind::data && !by_kind && cluster.host + within != run.host + run.length) break;
    while (bit < subclusters && kind_of(bit) == kind) ++bit;
    run.length = std::min(limit, run.length + bit * piece - within);
  }
  return run;
}

}  // namespace kiln::qcow2

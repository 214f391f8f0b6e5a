#include "check.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <new>

#include <kiln/endian.h>
#include <kiln/value.h>

namespace kiln::qcow2 {
namespace {

/// One bit per host cluster. Mapped, so that only the pages that are used take memory.
class Bitmap {
 public:
  explicit Bitmap(std::uint64_t bits) : bytes_(static_cast<std::size_t>(bits / 8 + 1)) {
    void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    bits_ = static_cast<std::uint8_t*>(at);
  }
  Bitmap(const Bitmap&) = delete;
  Bitmap& operator=(const Bitmap&) = delete;
  ~Bitmap() { ::munmap(bits_, bytes_); }

  bool test(std::uint64_t i) const { return (bits_[i / 8] >> (i % 8) & 1) != 0; }
  void set(std::uint64_t i) { bits_[i / 8] = static_cast<std::uint8_t>(bits_[i / 8] | 1u << (i % 8)); }

 private:
  std::uint8_t* bits_ = nullptr;
  std::size_t bytes_;
};

/// 16 TiB of 64 KiB clusters; for small clusters more than the L1 limit lets a disk have.
constexpr std::uint64_t max_host_clusters = std::uint64_t{1} << 28;

std::uint64_t host_clusters(const Image& image) {
  const std::uint64_t clusters = (image.file_size >> image.header.cluster_bits) + 1;
  if (clusters > max_host_clusters)
    throw refused(image.file.path().string() + " is too large for its cluster size",
                  "write it again with larger clusters (qemu-img convert -o cluster_size=2M)",
                  {format_bytes(image.file_size) + " in clusters of " + format_bytes(image.header.cluster_size())});
  return clusters;
}

class Walk {
 public:
  explicit Walk(const Image& image)
      : image_(image), header_(image.header), clusters_(host_clusters(image)), taken_(clusters_), packed_(clusters_) {}

  void metadata(const std::vector<std::uint64_t>& l1) {
    take(0, 1, "header", 0);
    take(header_.l1_offset, std::uint64_t{header_.l1_entries} * 8, "L1 table", 0);
    const std::uint64_t table = std::uint64_t{header_.refcount_table_clusters} << header_.cluster_bits;
    take(header_.refcount_table_offset, table, "refcount table", 0);
    refcount_blocks(table);
    for (std::size_t i = 0; i < l1.size(); ++i)
      if (l1[i] != 0) take(l1[i], header_.cluster_size(), "L2 table of L1 entry", i);
  }

  void data(const std::vector<std::uint64_t>& l1) {
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(header_.cluster_size(), 64 * 1024)));
    for (std::size_t i = 0; i < l1.size(); ++i) {
      if (l1[i] == 0) continue;
      for (std::uint64_t at = 0; at < header_.cluster_size(); at += buffer.size()) {
        // A hole of the file allocates nothing, however much of it a hostile file has.
        const std::uint64_t next = image_.file.seek(l1[i] + at, true);
        if (next >= l1[i] + header_.cluster_size()) break;
        at = std::max(at, (next - l1[i]) / buffer.size() * buffer.size());
        image_.file.read_at(l1[i] + at, buffer);
        entries(buffer, i * header_.l2_span() + (at / header_.l2_entry_bytes() << header_.cluster_bits));
      }
    }
  }

  const Usage& usage() const { return usage_; }

 private:
  void refcount_blocks(std::uint64_t table_bytes) {
    std::vector<std::byte> table(static_cast<std::size_t>(table_bytes));
    image_.file.read_at(header_.refcount_table_offset, table);
    for (std::size_t at = 0; at < table.size(); at += 8) {
      const auto block = get_be<std::uint64_t>(table, at);
      if (block == 0) continue;
      if (block % header_.cluster_size() != 0)
        throw damaged(image_.file, "qcow2 refcount table entry " + std::to_string(at / 8) + " is " + hex(block) +
                                       ": the block is not aligned");
      take(block, header_.cluster_size(), "refcount block", at / 8);
    }
  }

  void entries(std::span<const std::byte> table, std::uint64_t guest) {
    for (std::size_t at = 0; at < table.size(); at += header_.l2_entry_bytes(), guest += header_.cluster_size()) {
      if (guest >= header_.size) return;  // not visible
      const auto entry = get_be<std::uint64_t>(table, at);
      const std::uint64_t bitmap = header_.extended_l2() ? get_be<std::uint64_t>(table, at + 8) : 0;
      if ((entry | bitmap) == 0) continue;
      const Cluster cluster = decode_entry(image_, guest, entry, bitmap);
      if (cluster.kind == Kind::compressed) compressed(cluster, guest);
      if (cluster.kind == Kind::data || (cluster.kind == Kind::zero && cluster.host != 0)) plain(cluster, guest);
    }
  }

  void plain(const Cluster& cluster, std::uint64_t guest) {
    const std::uint64_t size = header_.cluster_size(), visible = std::min(size, header_.size - guest);
    std::uint64_t needed = cluster.kind == Kind::data ? visible : 0, held = needed;
    if (header_.extended_l2()) {
      needed = std::min(visible, size / 32 * (32u - static_cast<unsigned>(std::countl_zero(cluster.allocated))));
      held = std::min(visible, size / 32 * static_cast<unsigned>(std::popcount(cluster.allocated)));
    }
    if (needed > image_.file_size || cluster.host > image_.file_size - needed)
      throw truncated(image_.file, "the qcow2 data cluster of disk offset " + hex(guest), cluster.host + needed);
    const std::uint64_t at = cluster.host >> header_.cluster_bits;
    if (at < clusters_) {  // a preallocated cluster of zeros may lie past the end of the file
      if (taken_.test(at) || packed_.test(at)) throw overlap("data cluster of disk offset " + hex(guest), cluster.host);
      taken_.set(at);
    }
    usage_.data_bytes += held;
  }

  void compressed(const Cluster& cluster, std::uint64_t guest) {
    const std::uint64_t last = std::min(cluster.host + cluster.stored, image_.file_size) - 1;
    for (std::uint64_t i = cluster.host >> header_.cluster_bits; i <= last >> header_.cluster_bits; ++i) {
      if (taken_.test(i)) throw overlap("compressed cluster of disk offset " + hex(guest), cluster.host);
      packed_.set(i);
    }
    usage_.compressed_bytes += std::min(header_.cluster_size(), header_.size - guest);
    usage_.stored_bytes += cluster.stored;
  }

  void take(std::uint64_t offset, std::uint64_t length, const char* what, std::size_t index) {
    const auto name = [&] { return index == 0 ? std::string(what) : what + (" " + std::to_string(index)); };
    if (length > image_.file_size || offset > image_.file_size - length)
      throw truncated(image_.file, "the qcow2 " + name(), offset + length);
    for (std::uint64_t at = offset; at < offset + length; at += header_.cluster_size()) {
      if (taken_.test(at >> header_.cluster_bits)) throw overlap(name(), at);
      taken_.set(at >> header_.cluster_bits);
    }
  }

  Error overlap(const std::string& what, std::uint64_t host) const {
    return damaged(image_.file, "the qcow2 " + what + " at byte " + hex(host) + " of the file is in use already",
                   code::overlap);
  }

  const Image& image_;
  const Header& header_;
  std::uint64_t clusters_;
  Bitmap taken_, packed_;
  Usage usage_;
};

}  // namespace

Usage check_tables(const Image& image, const std::vector<std::uint64_t>& l1) {
  Walk walk(image);
  walk.metadata(l1);
  walk.data(l1);
  return walk.usage();
}

}  // namespace kiln::qcow2

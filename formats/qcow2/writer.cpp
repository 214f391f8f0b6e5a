#include "writer.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <kiln/endian.h>
#include <kiln/value.h>

namespace kiln::qcow2 {
namespace {

constexpr std::uint64_t copied = std::uint64_t{1} << 63, compressed = std::uint64_t{1} << 62;
constexpr std::uint32_t header_length = 112;

bool is_zero(std::span<const std::byte> bytes) {
  return bytes.front() == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

/// Whether bytes `from` .. `from + length` of the batch, a chunk or a multiple or a part of one, are all zeros.
bool reads_as_zeros(const Batch& batch, std::uint64_t from, std::uint64_t length) {
  for (std::uint64_t chunk = from / chunk_size; chunk * chunk_size < from + length; ++chunk)
    if (chunk < batch.digests.size() && !batch.digests[chunk].is_zero_chunk())
      return length < chunk_size && is_zero(batch.bytes.subspan(from, length));
  return true;
}

Header header_for(std::uint64_t size, const Layout& layout) {
  Header header;
  header.cluster_bits = layout.cluster_bits;
  if (size > INT64_MAX - 511)
    throw invalid("a disk of " + std::to_string(size) + " bytes is too large for qcow2", "make the disk smaller");
  header.size = (size + 511) / 512 * 512;
  if (header.l1_needed() * 8 > max_l1_bytes)
    throw invalid("a disk of " + format_bytes(size) + " is too large for qcow2 clusters of " +
                      format_bytes(header.cluster_size()),
                  "give a larger cluster_size, at most \"2M\"");
  header.l1_entries = static_cast<std::uint32_t>(header.l1_needed());
  header.length = header_length;
  if (layout.compression == Compression::zstd) {
    header.incompatible = incompatible_compression;
    header.compression = Compression::zstd;
  }
  return header;
}

}  // namespace

/// A compressor with a padded copy of a cluster that the disk's end cuts off.
struct Writer::Codec {
  Codec(const Layout& layout, std::uint64_t cluster_size)
      : compressor(*layout.compression, layout.level), padded(static_cast<std::size_t>(cluster_size)) {}
  Compressor compressor;
  std::vector<std::byte> padded;
};

struct Writer::Plan final : Encoded {
  struct Cluster {
    std::uint64_t from = 0;  // of the batch
    std::size_t at = 0;      // in `packed`
    std::size_t length = 0;  // in `packed`; 0: stored as it is
  };
  struct Piece {
    std::uint64_t host;
    std::span<const std::byte> bytes;
  };
  std::vector<Cluster> clusters;  // those with content, in order
  std::unique_ptr<std::byte[]> packed;
  std::vector<Piece> pieces;

  void place(std::uint64_t host, std::span<const std::byte> bytes) {
    if (!pieces.empty()) {
      Piece& last = pieces.back();
      if (last.host + last.bytes.size() == host && last.bytes.data() + last.bytes.size() == bytes.data()) {
        last.bytes = {last.bytes.data(), last.bytes.size() + bytes.size()};
        return;
      }
    }
    pieces.push_back({host, bytes});
  }

  /// The content from `from` on, whole chunks of zeros left out.
  void place_content(std::uint64_t host, std::uint64_t from, std::uint64_t length) {
    const std::uint64_t end = std::min<std::uint64_t>(from + length, batch->bytes.size());
    for (std::uint64_t at = from; at < end;) {
      const std::uint64_t step = std::min(chunk_size - at % chunk_size, end - at);
      if (!batch->digests[at / chunk_size].is_zero_chunk()) place(host + at - from, batch->bytes.subspan(at, step));
      at += step;
    }
  }
};

Writer::Writer(const std::filesystem::path& file, std::uint64_t size, const Layout& layout)
    : header_(header_for(size, layout)),
      file_(File::create(file)),
      layout_(layout),
      space_(file_, layout.cluster_bits),
      l1_(header_.l1_entries),
      l2_(static_cast<std::size_t>(header_.cluster_size())) {}

Writer::~Writer() {
  if (!finished_) ::unlink(file_.path().c_str());
}

std::unique_ptr<Encoded> Writer::encode(std::shared_ptr<const Batch> batch) const {
  auto plan = std::make_unique<Plan>();
  plan->batch = std::move(batch);
  if (header_.cluster_size() <= batch_size) encode_clusters(*plan);
  return plan;
}

void Writer::encode_clusters(Plan& plan) const {
  const Batch& batch = *plan.batch;
  const std::uint64_t size = header_.cluster_size();
  auto codec = layout_.compression ? codecs_.take([](const Codec&) { return true; },
                                                  [&] { return std::make_unique<Codec>(layout_, size); })
                                   : nullptr;
  if (codec) plan.packed = std::make_unique_for_overwrite<std::byte[]>(batch_size);
  std::size_t used = 0;
  for (std::uint64_t from = 0; from < batch.bytes.size(); from += size) {
    if (reads_as_zeros(batch, from, size)) continue;
    Plan::Cluster cluster{from, used, 0};
    if (codec) {
      auto content = batch.bytes.subspan(from, std::min<std::uint64_t>(size, batch.bytes.size() - from));
      if (content.size() < size) {
        std::fill(std::copy(content.begin(), content.end(), codec->padded.begin()), codec->padded.end(), std::byte{0});
        content = codec->padded;
      }
      cluster.length = codec->compressor.encode(content, {plan.packed.get() + used, size - 1});
      used += cluster.length;
    }
    plan.clusters.push_back(cluster);
  }
  if (codec) codecs_.give_back(std::move(codec));
}

void Writer::append(Encoded& encoded) {
  auto& plan = static_cast<Plan&>(encoded);
  if (header_.cluster_size() <= batch_size)
    append_clusters(plan);
  else
    append_half(plan);
  space_.settle();
}

void Writer::append_clusters(Plan& plan) {
  for (const Plan::Cluster& cluster : plan.clusters) {
    const std::uint64_t index = (plan.batch->offset + cluster.from) >> layout_.cluster_bits;
    if (cluster.length != 0) {
      const std::uint64_t host = space_.packed(cluster.length);
      map(index, packed_entry(host, cluster.length));
      plan.place(host, {plan.packed.get() + cluster.at, cluster.length});
    } else {
      const std::uint64_t host = space_.clusters(1);
      map(index, host | copied);
      plan.place_content(host, cluster.from, header_.cluster_size());
    }
  }
}

/// A cluster of two batches: the second one may come later, or not at all.
void Writer::append_half(Plan& plan) {
  const Batch& batch = *plan.batch;
  const std::uint64_t index = batch.offset >> layout_.cluster_bits;
  if (index != open_) {
    write_kept();
    open_ = index;
    if (!layout_.compression) map(index, (open_host_ = space_.clusters(1)) | copied);
  }
  if (layout_.compression)
    keep_half(batch);
  else
    plan.place_content(open_host_ + batch.offset % header_.cluster_size(), 0, batch.bytes.size());
}

void Writer::keep_half(const Batch& batch) {
  kept_.resize(static_cast<std::size_t>(header_.cluster_size()));
  std::copy(batch.bytes.begin(), batch.bytes.end(),
            kept_.begin() + static_cast<std::ptrdiff_t>(batch.offset % header_.cluster_size()));
}

void Writer::write_kept() {
  if (kept_.empty()) return;
  Codec codec(layout_, header_.cluster_size());
  const std::size_t length = codec.compressor.encode(kept_, std::span(codec.padded).first(kept_.size() - 1));
  const std::uint64_t host = length != 0 ? space_.packed(length) : space_.clusters(1);
  map(open_, length != 0 ? packed_entry(host, length) : host | copied);
  file_.write_at(host, length != 0 ? std::span(codec.padded).first(length) : std::span(kept_));
  kept_.clear();
}

void Writer::store(Encoded& encoded) {
  std::uint64_t from = UINT64_MAX, to = 0;
  for (const Plan::Piece& piece : static_cast<Plan&>(encoded).pieces) {
    file_.write_at(piece.host, piece.bytes);
    from = std::min(from, piece.host);
    to = std::max(to, piece.host + piece.bytes.size());
  }
  if (from < to) file_.start_writeback(from, to - from);  // then finish() waits less
}

std::uint64_t Writer::packed_entry(std::uint64_t host, std::uint64_t length) const {
  const std::uint64_t more_sectors = (host + length - 1) / 512 - host / 512;
  return compressed | more_sectors << (62 - (layout_.cluster_bits - 8)) | host;
}

void Writer::map(std::uint64_t cluster, std::uint64_t entry) {
  const std::uint64_t index = cluster / header_.l2_entries();
  if (index != l2_index_) {
    flush_l2();
    l2_index_ = index;
  }
  put_be(l2_, cluster % header_.l2_entries() * 8, entry);
}

void Writer::flush_l2() {
  if (l2_index_ == UINT64_MAX) return;
  const std::uint64_t host = space_.clusters(1);
  file_.write_at(host, l2_);
  l1_[l2_index_] = host | copied;
  std::fill(l2_.begin(), l2_.end(), std::byte{0});
  l2_index_ = UINT64_MAX;
}

void Writer::finish() {
  write_kept();
  flush_l2();
  const std::uint64_t bytes = l1_.size() * 8, size = header_.cluster_size();
  const std::uint64_t l1_offset = space_.clusters((bytes + size - 1) / size);
  for (std::uint64_t& entry : l1_) put_be(std::as_writable_bytes(std::span(&entry, 1)), 0, std::uint64_t{entry});
  file_.write_at(l1_offset, std::as_bytes(std::span(l1_)));
  const Space::RefcountTable refcounts = space_.finish();
  file_.truncate(space_.end());
  file_.write_at(0, header_bytes(l1_offset, refcounts));
  finished_ = true;
}

std::vector<std::byte> Writer::header_bytes(std::uint64_t l1_offset, const Space::RefcountTable& refcounts) const {
  std::vector<std::byte> bytes(256);
  put_be(bytes, 0, magic);
  put_be(bytes, 4, header_.version);
  put_be(bytes, 20, header_.cluster_bits);
  put_be(bytes, 24, header_.size);
  put_be(bytes, 36, header_.l1_entries);
  put_be(bytes, 40, l1_offset);
  put_be(bytes, 48, refcounts.offset);
  put_be(bytes, 56, refcounts.clusters);
  put_be(bytes, 72, header_.incompatible);
  put_be(bytes, 96, header_.refcount_order);
  put_be(bytes, 100, header_.length);
  put_be(bytes, 104, static_cast<std::uint8_t>(header_.compression));
  if (header_.incompatible != 0) {  // an old reader can say the name of what it does not know
    static constexpr std::string_view name = "compression type";
    put_be(bytes, header_length, extension_features);
    put_be(bytes, header_length + 4, std::uint32_t{48});
    bytes[header_length + 9] = std::byte{3};  // kind 0 (incompatible), bit 3
    std::memcpy(bytes.data() + header_length + 10, name.data(), name.size());
  }
  return bytes;
}

}  // namespace kiln::qcow2

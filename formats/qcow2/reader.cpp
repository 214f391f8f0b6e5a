#include "reader.h"

#include <algorithm>
#include <cstring>

namespace kiln::qcow2 {
namespace {

/// Clusters after which extent_at() ends a run of data, which callers read in steps, asking anew at each one. Holes
/// they skip at once.
constexpr std::uint64_t enough_data = 256, enough_hole = 8192;

std::vector<std::uint64_t> checked_l1(const Image& image) {
  auto l1 = read_l1(image);
  check_tables(image, l1);
  return l1;
}

}  // namespace

Reader::Reader(File file, std::shared_ptr<const BlockReader> below)
    : image_(open_image(std::move(file), below != nullptr)),
      below_(std::move(below)),
      tables_(image_, checked_l1(image_)) {}

Extent Reader::extent_at(std::uint64_t offset) const {
  const std::uint64_t rest = size() - offset;
  const std::uint64_t some = std::min(rest, enough_data << image_.header.cluster_bits);
  Run first = tables_.kind_at(offset, some);
  if (first.kind != Kind::data && first.length == some) first = tables_.kind_at(offset, rest);
  if (first.kind == Kind::unallocated && below_) return below_at(offset, first.length);
  Extent extent{offset, first.length, first.kind == Kind::data, false};
  const std::uint64_t enough = extent.data ? some : std::min(rest, enough_hole << image_.header.cluster_bits);
  while (extent.length < enough) {
    const Run next = tables_.kind_at(offset + extent.length, enough - extent.length);
    if ((next.kind == Kind::data) != extent.data || (next.kind == Kind::unallocated && below_)) break;
    extent.length += next.length;
  }
  return extent;
}

Extent Reader::below_at(std::uint64_t offset, std::uint64_t length) const {
  if (offset >= below_->size()) return {offset, length, false, false};
  const Extent there = below_->extent_at(offset);
  return {offset, std::min(length, there.length), there.data, true};
}

void Reader::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const Run run = tables_.run_at(offset, into.size());
    const auto part = into.first(static_cast<std::size_t>(run.length));
    switch (run.kind) {
      case Kind::data:
        image_.file.read_at(run.host, part);
        break;
      case Kind::compressed:
        read_compressed(run, offset, part);
        break;
      case Kind::unallocated:
        read_below(offset, part);
        break;
      case Kind::zero:
        std::memset(part.data(), 0, part.size());
        break;
    }
    offset += run.length;
    into = into.subspan(part.size());
  }
}

void Reader::read_below(std::uint64_t offset, std::span<std::byte> into) const {
  const std::uint64_t end = below_ ? below_->size() : 0;
  const auto there = static_cast<std::size_t>(offset < end ? std::min<std::uint64_t>(into.size(), end - offset) : 0);
  if (there != 0) below_->read(offset, into.first(there));
  if (there != into.size()) std::memset(into.data() + there, 0, into.size() - there);
}

void Reader::read_compressed(const Run& run, std::uint64_t offset, std::span<std::byte> into) const {
  const std::uint64_t within = offset % image_.header.cluster_size(), guest = offset - within;
  auto decoder = decoders_.take([guest](const Decoder& d) { return d.holds == guest; },
                                [this] { return std::make_unique<Decoder>(image_.header); });
  if (into.size() == image_.header.cluster_size()) {
    decode(*decoder, run, guest, into);
  } else {
    if (decoder->holds != guest) {
      decoder->holds = UINT64_MAX;
      decode(*decoder, run, guest, decoder->cluster);
      decoder->holds = guest;
    }
    std::memcpy(into.data(), decoder->cluster.data() + within, into.size());
  }
  decoders_.give_back(std::move(decoder));
}

void Reader::decode(Decoder& decoder, const Run& run, std::uint64_t guest, std::span<std::byte> into) const {
  decoder.stored.resize(run.stored);
  const std::size_t got = image_.file.read_some(run.host, decoder.stored);
  if (!decoder.decompressor.decode(std::span(decoder.stored).first(got), into))
    throw damaged(image_.file, "the compressed cluster of disk offset " + hex(guest) + ", at byte " + hex(run.host) +
                                   " of the file, does not decode to " + std::to_string(into.size()) + " bytes");
}

}  // namespace kiln::qcow2

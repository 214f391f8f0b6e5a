#include "reader.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "beside.h"

namespace kiln::vmdk {
namespace {

Error a_part_only(const File& file, std::string evidence) {
  return refused(file.path().string() + " is a part of a disk: what belongs to it says the descriptor, another file",
                 "give the descriptor, with all files of the disk in its folder", {std::move(evidence)})
      .as(code::unsupported);
}

/// The descriptor within a sparse extent, up to its first NUL.
std::string embedded_text(const File& file, const Header& header) {
  std::string text(static_cast<std::size_t>(header.descriptor_at != 0 ? header.descriptor_sectors * sector : 0), '\0');
  file.read_at(header.descriptor_at * sector, std::as_writable_bytes(std::span(text)));
  text.resize(std::min(text.find('\0'), text.size()));
  if (text.empty()) throw a_part_only(file, "VMDK header, bytes 28..43: no descriptor within");
  return text;
}

/// Ends at the first NUL: programs that rewrite it leave the rest of the longer text before, or fill the file up.
std::string whole_text(const File& file) {
  const std::uint64_t size = file.size();
  if (size > max_descriptor)
    throw damaged(file,
                  "VMDK descriptor: " + std::to_string(size) + " bytes, more than " + std::to_string(max_descriptor));
  std::string text(static_cast<std::size_t>(size), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

}  // namespace

Reader::Reader(File file) {
  std::array<std::byte, 64> head{};
  const auto got = std::span<const std::byte>(head).first(file.read_some(0, head));
  if (is_host_sparse(got)) throw a_part_only(file, "bytes 0..3: \"COWD\", an extent of an ESX host");
  if (is_se_sparse(got)) throw a_part_only(file, "bytes 0..15: a seSparse extent of an ESX host");
  if (is_hosted_sparse(got))
    open_sparse(std::move(file));
  else if (is_descriptor(got))
    open_described(std::move(file));
  else
    throw Error(file.path().string() + " is not a VMDK", "give the format that it has",
                {"it begins neither with \"KDMV\" nor with \"# Disk DescriptorFile\""})
        .as(code::format_mismatch);
}

/// The descriptor's size counts: VirtualBox rounds the header's up to a grain. The name in it is not looked up, because
/// people rename files.
void Reader::open_sparse(File file) {
  Piece piece{.sparse = std::make_unique<Sparse>(std::move(file))};
  const Header& header = piece.sparse->header();
  descriptor_ = parse(piece.sparse->file(), embedded_text(piece.sparse->file(), header), true);
  check_sizes(header, piece.sparse->file(), descriptor_.extents.front(), true);
  piece.length = size_ = descriptor_.extents.front().sectors * sector;
  pieces_.push_back(std::move(piece));
}

/// Some programs round the header's capacity up to whole grains; in the middle of a disk that would move what follows.
void Reader::check_sizes(const Header& header, const File& file, const ExtentLine& extent, bool last) const {
  const std::uint64_t rounded = (extent.sectors + header.grain - 1) / header.grain * header.grain;
  if (header.capacity != extent.sectors && (!last || header.capacity != rounded))
    throw damaged(file, std::string(header.cowd ? "COWD header, bytes 12..15" : "VMDK header, bytes 12..19") +
                            ": a capacity of " + std::to_string(header.capacity) +
                            " sectors, and the descriptor says " + std::to_string(extent.sectors));
}

void Reader::open_described(File file) {
  descriptor_ = parse(file, whole_text(file), false);
  Beside beside(file);
  for (const ExtentLine& extent : descriptor_.extents) {
    Piece piece{.begin = size_, .length = extent.sectors * sector};
    if (extent.kind != ExtentLine::Kind::zero) {
      File opened = beside.open(extent.name);
      beside_.push_back(opened.path());
      if (extent.kind == ExtentLine::Kind::sparse)
        piece.sparse = std::make_unique<Sparse>(std::move(opened));
      else
        piece.flat = std::make_unique<File>(std::move(opened));
    }
    add(file, extent, &extent == &descriptor_.extents.back(), std::move(piece));
  }
}

void Reader::add(const File& descriptor, const ExtentLine& extent, bool last, Piece piece) {
  if (piece.sparse) {
    check_sizes(piece.sparse->header(), piece.sparse->file(), extent, last);
    piece.length = piece.sparse->size();
  } else if (piece.flat) {
    piece.flat_offset = extent.offset * sector;
    const std::uint64_t end = piece.flat_offset + piece.length;
    if (end > piece.flat->size()) throw truncated(*piece.flat, "the VMDK extent", end);
  }
  if (piece.length > static_cast<std::uint64_t>(INT64_MAX) - size_)
    throw damaged(descriptor, "VMDK descriptor, line " + std::to_string(extent.line) + ": more than 2^63 bytes in all",
                  code::invalid_size);
  size_ += piece.length;
  pieces_.push_back(std::move(piece));
}

std::size_t Reader::piece_at(std::uint64_t offset) const {
  const auto after = std::ranges::upper_bound(pieces_, offset, {}, &Piece::begin);
  return static_cast<std::size_t>(after - pieces_.begin()) - 1;
}

Extent Reader::extent_at(std::uint64_t offset) const {
  const Piece& piece = pieces_[piece_at(offset)];
  const std::uint64_t within = offset - piece.begin;
  if (piece.sparse) {
    const Sparse::Run run = piece.sparse->run_at(within);
    return {offset, std::min(run.length, piece.length - within), run.data};
  }
  if (!piece.flat) return {offset, piece.length - within, false};
  const std::uint64_t at = piece.flat_offset + within, end = piece.flat_offset + piece.length;
  const std::uint64_t data = std::min(piece.flat->seek(at, true), end);
  if (data > at) return {offset, data - at, false};
  return {offset, std::clamp(piece.flat->seek(at, false), at + 1, end) - at, true};
}

void Reader::read(std::uint64_t offset, std::span<std::byte> into) const {
  for (std::size_t i = into.empty() ? 0 : piece_at(offset); !into.empty(); ++i) {
    const Piece& piece = pieces_[i];
    const std::uint64_t within = offset - piece.begin;
    const auto part = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), piece.length - within)));
    if (piece.sparse)
      piece.sparse->read(within, part);
    else if (piece.flat)
      piece.flat->read_at(piece.flat_offset + within, part);
    else
      std::memset(part.data(), 0, part.size());
    offset += part.size();
    into = into.subspan(part.size());
  }
}

}  // namespace kiln::vmdk

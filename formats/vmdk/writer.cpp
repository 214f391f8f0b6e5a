#include "writer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <kiln/endian.h>
#include <kiln/value.h>

namespace kiln::vmdk {
namespace {

constexpr std::uint64_t grain = chunk_size / sector;
constexpr std::uint64_t descriptor_sectors = 20;  // room to edit it, as everybody leaves
constexpr std::uint32_t table_entries = 512;
constexpr std::uint64_t largest_disk = std::uint64_t{62} << 40;  // of VMware's products

std::string hex_byte(std::byte b) {
  static constexpr std::string_view digits = "0123456789abcdef";
  const auto value = std::to_integer<unsigned>(b);
  return {digits[value >> 4], digits[value & 15]};
}

std::string hex_bytes(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) text += hex_byte(b);
  return text;
}

/// As VMware's products write them: sixteen bytes, the first four always these.
std::string uuid_of(std::span<const std::byte> bytes) {
  std::string text = "60 00 C2 9";
  text += hex_byte(bytes[0])[1];
  for (std::size_t i = 1; i < 13; ++i) text += (i == 5 ? '-' : ' ') + hex_byte(bytes[i]);
  return text;
}

/// "The Disk Data Base": cylinders, heads, sectors per track.
std::string geometry(std::uint64_t capacity, bool ide) {
  const std::uint64_t heads = ide ? 16 : 255, most = ide ? 16383 : 65535, track = 63;
  const std::uint64_t cylinders = std::min(most, (capacity + heads * track - 1) / (heads * track));
  return "ddb.geometry.cylinders = \"" + std::to_string(cylinders) + "\"\nddb.geometry.heads = \"" +
         std::to_string(heads) + "\"\nddb.geometry.sectors = \"" + std::to_string(track) + "\"\n";
}

std::string describe(const Header& header, const std::string& adapter, Digest identity) {
  // All ones mean "no parent", one less "all zeros" to some programs.
  if (get_be<std::uint32_t>(identity.bytes, 28) >= 0xfffffffe) identity.bytes[31] ^= std::byte{0x80};
  const auto content = std::span<const std::byte>(identity.bytes).last(16);
  const bool stream = header.is_compressed();
  return std::string("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=") + hex_bytes(content.last(4)) +
         "\nparentCID=ffffffff\ncreateType=\"" + (stream ? "streamOptimized" : "monolithicSparse") +
         "\"\n\n# Extent description\nRW " + std::to_string(header.capacity) +
         " SPARSE \"disk.vmdk\"\n\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.longContentID = \"" +
         hex_bytes(content) + "\"\nddb.uuid = \"" + uuid_of(identity.bytes) + "\"\n" +
         geometry(header.capacity, adapter == "ide") + "ddb.adapterType = \"" + adapter +
         "\"\nddb.toolsVersion = \"2147483647\"\n";
}

}  // namespace

Header Writer::header_for(std::uint64_t size, bool stream) {
  if (size == 0 || size > largest_disk)
    throw invalid("a disk of " + format_bytes(size) + " does not fit a VMDK", "a VMDK holds up to 62 TiB: use qcow2");
  Header h;
  h.version = stream ? 3 : 1;
  h.flags = newline_detection | (stream ? compressed_grains | has_markers : redundant_directory);
  h.capacity = (size + sector - 1) / sector;
  h.grain = grain;
  h.descriptor_at = header_sectors;
  h.descriptor_sectors = descriptor_sectors;
  h.table_entries = table_entries;
  h.compression = stream ? 1 : 0;
  h.directory_entries = (h.capacity + h.table_span() - 1) / h.table_span();
  return h;
}

Writer::Writer(const std::filesystem::path& file, const Header& header, std::string adapter)
    : header_(header),
      directory_(static_cast<std::size_t>(header.directory_entries)),
      made_(std::in_place, file),
      file_(made_->file()),
      adapter_(std::move(adapter)),
      table_(static_cast<std::size_t>(header.table_bytes())) {}

Writer::Writer(File& file, std::uint64_t begin, const Header& header, std::string adapter)
    : header_(header),
      directory_(static_cast<std::size_t>(header.directory_entries)),
      file_(file),
      begin_(begin),
      adapter_(std::move(adapter)),
      table_(static_cast<std::size_t>(header.table_bytes())) {}

void Writer::write_at(std::uint64_t at, std::span<const std::byte> bytes) {
  file_.write_at(begin_ + at, bytes);
}

void Writer::end_at(std::uint64_t at) {
  file_.truncate(begin_ + at);
}

void Writer::start_writeback(std::uint64_t at, std::uint64_t length) noexcept {
  file_.start_writeback(begin_ + at, length);
}

void Writer::identify(const Batch& batch) {
  for (std::size_t c = 0; c < batch.digests.size(); ++c) {
    if (batch.digests[c].is_zero_chunk()) continue;
    std::array<std::byte, 8> at{};
    put_le<std::uint64_t>(at, 0, batch.offset + c * chunk_size);
    identity_.update(at).update(batch.digests[c].bytes);
  }
}

void Writer::map(std::uint64_t grain_number) {
  if (const std::uint64_t number = grain_number / table_entries; number != number_) {
    flush_table();
    number_ = number;
  }
  put_le(table_, grain_number % table_entries * 4, static_cast<std::uint32_t>(next_));
}

void Writer::advance(std::uint64_t sectors) {
  next_ += sectors;
  if (next_ > UINT32_MAX)
    throw Error("the content does not fit a VMDK file of 2 TiB", "write qcow2, or a smaller disk");
}

void Writer::flush_table() {
  if (number_ == UINT64_MAX) return;
  directory_[static_cast<std::size_t>(number_)] = place_table(number_, table_);
  std::ranges::fill(table_, std::byte{0});
  number_ = UINT64_MAX;
}

std::vector<std::byte> Writer::directory_bytes() const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(header_.directory_sectors() * sector));
  for (std::size_t i = 0; i < directory_.size(); ++i) put_le(bytes, i * 4, directory_[i]);
  return bytes;
}

void Writer::finish_with(const Header& header) {
  std::string text = describe(header, adapter_, identity_.update(std::to_string(header.capacity)).digest());
  text.resize(descriptor_sectors * sector);
  write_at(header.descriptor_at * sector, std::as_bytes(std::span(text)));
  write_at(0, vmdk::encode(header));
  if (made_) made_->keep();
}

struct SparseWriter::Plan final : Encoded {
  std::uint64_t at = 0;  // of its first grain; the others follow
};

SparseWriter::SparseWriter(const std::filesystem::path& file, std::uint64_t size, std::string adapter)
    : Writer(file, header_for(size, false), std::move(adapter)) {
  const std::uint64_t tables = header_.directory_entries * header_.table_sectors();
  header_.redundant_at = header_.descriptor_at + descriptor_sectors;
  first_redundant_ = header_.redundant_at + header_.directory_sectors();
  header_.directory_at = first_redundant_ + tables;
  first_table_ = header_.directory_at + header_.directory_sectors();
  header_.overhead = (first_table_ + tables + grain - 1) / grain * grain;
  advance(header_.overhead);
}

std::unique_ptr<Encoded> SparseWriter::encode(std::shared_ptr<const Batch> batch) const {
  auto plan = std::make_unique<Plan>();
  plan->batch = std::move(batch);
  return plan;
}

void SparseWriter::append(Encoded& encoded) {
  auto& plan = static_cast<Plan&>(encoded);
  const Batch& batch = *plan.batch;
  identify(batch);
  plan.at = next_;
  for (std::size_t c = 0; c < batch.digests.size(); ++c) {
    if (batch.digests[c].is_zero_chunk()) continue;
    map(batch.offset / chunk_size + c);
    advance(grain);
  }
}

void SparseWriter::store(Encoded& encoded) {
  const auto& plan = static_cast<Plan&>(encoded);
  const Batch& batch = *plan.batch;
  std::uint64_t at = plan.at * sector;
  for (std::size_t c = 0; c < batch.digests.size();) {
    std::size_t end = c;
    while (end < batch.digests.size() && !batch.digests[end].is_zero_chunk()) ++end;
    const std::size_t length = (end - c) * chunk_size;
    if (length != 0) write_at(at, batch.bytes.subspan(c * chunk_size, length));
    at += length;
    c = end + 1;
  }
  if (at > plan.at * sector) start_writeback(plan.at * sector, at - plan.at * sector);
}

// Every table has its place from the start, as other programs lay them out: of those without content a hole.
std::uint32_t SparseWriter::place_table(std::uint64_t number, std::span<const std::byte> table) {
  const std::uint64_t within = number * header_.table_sectors();
  write_at((first_redundant_ + within) * sector, table);
  write_at((first_table_ + within) * sector, table);
  return 0;  // finish() knows them all
}

void SparseWriter::finish() {
  flush_table();
  for (const auto& [directory, first] :
       {std::pair{header_.redundant_at, first_redundant_}, std::pair{header_.directory_at, first_table_}}) {
    for (std::size_t i = 0; i < directory_.size(); ++i)
      directory_[i] = static_cast<std::uint32_t>(first + i * header_.table_sectors());
    write_at(directory * sector, directory_bytes());
  }
  end_at(next_ * sector);
  finish_with(header_);
}

}  // namespace kiln::vmdk

// The writer of streamOptimized files.

#include <libdeflate.h>

#include <algorithm>
#include <cstring>
#include <new>

#include <kiln/endian.h>

#include "writer.h"

namespace kiln::vmdk {
namespace {

constexpr std::uint64_t marker_size = 12, overhead = 128;

}  // namespace

/// A batch's grains as the file will hold them, each with its marker, to whole sectors.
struct StreamWriter::Packed final : Encoded {
  struct Grain {
    std::uint64_t number = 0, sectors = 0;
  };
  std::vector<Grain> grains;
  std::unique_ptr<std::byte[]> bytes;
  std::size_t size = 0;
  std::uint64_t at = 0;
};

void StreamWriter::Release::operator()(libdeflate_compressor* compressor) const {
  libdeflate_free_compressor(compressor);
}

StreamWriter::StreamWriter(const std::filesystem::path& file, std::uint64_t size, std::string adapter, int level)
    : Writer(file, header_for(size, true), std::move(adapter)), level_(level) {
  start();
}

StreamWriter::StreamWriter(File& file, std::uint64_t begin, std::uint64_t size, std::string adapter, int level)
    : Writer(file, begin, header_for(size, true), std::move(adapter)), level_(level) {
  start();
}

void StreamWriter::start() {
  header_.overhead = overhead;
  header_.directory_at = at_end;
  advance(overhead);
}

StreamWriter::~StreamWriter() = default;

StreamWriter::Compressor StreamWriter::take_compressor() const {
  {
    const std::scoped_lock lock(mutex_);
    if (!free_.empty()) {
      Compressor compressor = std::move(free_.back());
      free_.pop_back();
      return compressor;
    }
  }
  Compressor compressor(libdeflate_alloc_compressor(level_));
  if (!compressor) throw std::bad_alloc();
  return compressor;
}

std::unique_ptr<Encoded> StreamWriter::encode(std::shared_ptr<const Batch> batch) const {
  auto packed = std::make_unique<Packed>();
  Compressor compressor = take_compressor();
  const std::size_t bound = libdeflate_zlib_compress_bound(compressor.get(), chunk_size);
  const std::size_t room = (marker_size + bound + sector - 1) / sector * sector;
  packed->bytes = std::make_unique_for_overwrite<std::byte[]>(room * batch->digests.size());
  for (std::size_t c = 0; c < batch->digests.size(); ++c) {
    if (batch->digests[c].is_zero_chunk()) continue;
    const std::uint64_t number = batch->offset / chunk_size + c;
    const std::span<std::byte> into(packed->bytes.get() + packed->size, room);
    const std::size_t length = libdeflate_zlib_compress(compressor.get(), batch->bytes.data() + c * chunk_size,
                                                        chunk_size, into.data() + marker_size, bound);
    put_le<std::uint64_t>(into, 0, number * header_.grain);
    put_le<std::uint32_t>(into, 8, static_cast<std::uint32_t>(length));
    const std::size_t end = marker_size + length, padded = (end + sector - 1) / sector * sector;
    std::memset(into.data() + end, 0, padded - end);
    packed->grains.push_back({number, padded / sector});
    packed->size += padded;
  }
  packed->batch = std::move(batch);
  const std::scoped_lock lock(mutex_);
  free_.push_back(std::move(compressor));
  return packed;
}

void StreamWriter::append(Encoded& encoded) {
  auto& packed = static_cast<Packed&>(encoded);
  identify(*packed.batch);
  for (const Packed::Grain& one : packed.grains) {
    map(one.number);  // may place the table before: not between a batch's grains, because a table is 32 batches
    if (packed.at == 0) packed.at = next_ * sector;
    advance(one.sectors);
  }
}

void StreamWriter::store(Encoded& encoded) {
  const auto& packed = static_cast<const Packed&>(encoded);
  if (packed.size == 0) return;
  write_at(packed.at, {packed.bytes.get(), packed.size});
  start_writeback(packed.at, packed.size);
}

void StreamWriter::write_next(std::span<const std::byte> bytes) {
  write_at(next_ * sector, bytes);
  advance((bytes.size() + sector - 1) / sector);
}

std::uint32_t StreamWriter::place_table(std::uint64_t, std::span<const std::byte> table) {
  write_next(encode_marker(grain_table, header_.table_sectors()));
  const std::uint64_t at = next_;
  write_next(table);
  return static_cast<std::uint32_t>(at);
}

void StreamWriter::finish() {
  flush_table();
  write_next(encode_marker(grain_directory, header_.directory_sectors()));
  Header foot = header_;
  foot.directory_at = next_;
  write_next(directory_bytes());
  write_next(encode_marker(footer, 1));
  write_next(vmdk::encode(foot));
  write_next(encode_marker(end_of_stream, 0));
  finish_with(header_);
}

}  // namespace kiln::vmdk

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "catalog/chunk_index.h"
#include "catalog/pack_file.h"
#include "catalog/pack_writer.h"
#include "fixture.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

class PackTest : public testing::Test {
 protected:
  /// A pack of `count` chunks, every third of them text, filled by two threads in no particular order.
  void write(unsigned count) {
    PackWriter writer(file);
    std::vector<std::vector<std::byte>> records;
    for (unsigned i = 0; i < count; ++i) {
      std::vector<std::byte> chunk(chunk_size), record(record_header_size + chunk_size);
      test::fill(chunk, i % 3 == 0 ? test::Piece::Kind::text : test::Piece::Kind::random, i);
      const EncodedChunk encoded = encode_chunk(chunk, std::span(record).subspan(record_header_size));
      record.resize(record_header_size + encoded.size);
      entries.push_back(
          {sha256(chunk), writer.reserve(record.size()), static_cast<std::uint32_t>(encoded.size), encoded.codec});
      put_record_header(record, entries.back());
      records.push_back(std::move(record));
      chunks.push_back(std::move(chunk));
    }
    std::thread other([&] {
      for (unsigned i = 1; i < count; i += 2) writer.fill(entries[i].offset, records[i]);
    });
    for (unsigned i = 0; i < count; i += 2) writer.fill(entries[i].offset, records[i]);
    other.join();
    size = writer.seal(entries);
  }
  static std::vector<std::byte> bytes_of(const fs::path& path) {
    std::vector<std::byte> bytes(fs::file_size(path));
    File::open_read(path).read_at(0, bytes);
    return bytes;
  }
  void expect_all_there(const PackFile& pack) {
    ASSERT_EQ(pack.entries().size(), chunks.size());
    std::vector<std::byte> got(chunk_size);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      EXPECT_EQ(pack.entries()[i].offset, entries[i].offset);
      EXPECT_EQ(pack.damage(pack.entries()[i]), "");
      pack.read(pack.entries()[i], got);
      EXPECT_EQ(got, chunks[i]);
    }
  }

  test::TempDir folder;
  std::filesystem::path file = folder / "a.pack";
  std::vector<PackEntry> entries;
  std::vector<std::vector<std::byte>> chunks;
  std::uint64_t size = 0;
};

TEST_F(PackTest, WhatIsWrittenIsReadBack) {
  write(200);  // more than two segments
  EXPECT_EQ(std::filesystem::file_size(file), size);
  const PackFile pack(file);
  EXPECT_FALSE(pack.index_was_damaged());
  expect_all_there(pack);
}

TEST_F(PackTest, TheIndexIsRebuiltFromTheRecords) {
  write(20);
  test::flip_byte(file, size - pack_footer_size - 5);
  const PackFile pack(file);
  EXPECT_TRUE(pack.index_was_damaged());
  expect_all_there(pack);
}

TEST_F(PackTest, APackWithoutItsEndStillHasItsFirstRecords) {
  write(20);
  test::cut_file(file, entries[10].offset + 100);
  const PackFile pack(file);
  EXPECT_TRUE(pack.index_was_damaged());
  EXPECT_EQ(pack.entries().size(), 10u);
}

TEST_F(PackTest, APackIsGoneOnWithWhereItWasLeft) {
  write(200);
  const std::uint64_t segment = 4u << 20;
  const auto second = std::ranges::find_if(entries, [&](const PackEntry& e) { return e.offset > segment; });
  for (const PackEntry* from : {&entries[0], &entries[10], &*second, &entries[199]}) {
    const std::vector<std::byte> whole = bytes_of(file);
    const fs::path other = folder / ("from" + std::to_string(from->offset));
    fs::copy_file(file, other);
    PackWriter writer(other, from->offset);  // cuts off the rest
    EXPECT_LE(fs::file_size(other), std::max<std::uint64_t>(from->offset, 4096)) << "4096: a block to try writing with";
    const std::uint64_t index = entries.back().offset + record_header_size + entries.back().stored;
    EXPECT_EQ(writer.reserve(index - from->offset), from->offset);
    writer.fill(from->offset, std::span(whole).subspan(from->offset, index - from->offset));
    EXPECT_EQ(writer.seal(entries), size);
    EXPECT_EQ(bytes_of(other), whole);
  }
}

TEST_F(PackTest, APackThatEndsWithASegmentIsGoneOnWith) {
  const std::vector<std::byte> bytes((4u << 20) - pack_header_size, std::byte{7});
  {
    PackWriter writer(file);
    writer.fill(writer.reserve(bytes.size()), bytes);
    EXPECT_EQ(writer.seal({}), (4u << 20) + pack_footer_size);
  }
  const std::vector<std::byte> whole = bytes_of(file);
  EXPECT_EQ(PackWriter(file, 4u << 20).seal({}), (4u << 20) + pack_footer_size);
  EXPECT_EQ(bytes_of(file), whole);
}

TEST_F(PackTest, ADamagedChunkIsAnErrorThatSaysWhere) {
  write(3);
  test::flip_byte(file, entries[1].offset + record_header_size + 1000);
  const PackFile pack(file);
  std::vector<std::byte> got(chunk_size);
  const Error error = test::error_of([&] { pack.read(pack.entries()[1], got); });
  EXPECT_EQ(error.what(), "chunk sha256:" + to_hex(entries[1].digest) + " is damaged: its sha256 does not match");
  EXPECT_EQ(error.hint(), "list every image that is harmed: kiln image verify");
  EXPECT_THAT(error.evidence(),
              testing::ElementsAre("pack " + file.string() + ", record at byte " + std::to_string(entries[1].offset)));
  EXPECT_NO_THROW(pack.read(pack.entries()[0], got));
}

TEST_F(PackTest, ADamagedRecordHeaderIsSeen) {
  write(2);
  test::flip_byte(file, entries[1].offset + 16);
  const PackFile pack(file);
  EXPECT_EQ(pack.damage(pack.entries()[1]), "its record header is damaged");
}

TEST_F(PackTest, NoFileOfAStrangerCrashesTheReader) {
  for (const std::string& text : {std::string(), std::string(63, 'x'), std::string(5000, '\xff'),
                                  std::string(4000, '\0') + "KILNIDX1" + std::string(56, '\xff')}) {
    write_text(file, text);
    const PackFile pack(file);
    EXPECT_TRUE(pack.index_was_damaged());
    EXPECT_TRUE(pack.entries().empty());
  }
}

TEST_F(PackTest, TheIndexFindsWhatIsThereAndNothingElse) {
  write(100);
  const ChunkIndex index({std::make_shared<const PackFile>(file)});
  for (const PackEntry& entry : entries) {
    ASSERT_NE(index.find(entry.digest).entry, nullptr);
    EXPECT_EQ(index.find(entry.digest).entry->offset, entry.offset);
    Digest other = entry.digest;
    other.bytes[31] ^= std::byte{1};  // the same slot
    EXPECT_FALSE(index.contains(other));
  }
  EXPECT_FALSE(ChunkIndex({}).contains(entries[0].digest));
}

}  // namespace
}  // namespace kiln

#include "catalog/codec.h"

#include <gtest/gtest.h>

#include <vector>

#include <kiln/block.h>

#include "support/disks.h"

namespace kiln {
namespace {

class CodecTest : public testing::Test {
 protected:
  EncodedChunk encode(test::Piece::Kind kind) {
    test::fill(chunk, kind, 3);
    return encode_chunk(chunk, stored);
  }
  std::vector<std::byte> chunk = std::vector<std::byte>(chunk_size), stored = chunk, back = chunk;
};

TEST_F(CodecTest, TextIsCompressed) {
  const EncodedChunk encoded = encode(test::Piece::Kind::text);
  EXPECT_EQ(encoded.codec, Codec::zstd);
  EXPECT_LT(encoded.size, chunk_size * 3 / 4);
  ASSERT_TRUE(decode_chunk(encoded.codec, std::span(stored).first(encoded.size), back));
  EXPECT_EQ(back, chunk);
}

TEST_F(CodecTest, RandomBytesAreStoredAsTheyAre) {
  const EncodedChunk encoded = encode(test::Piece::Kind::random);
  EXPECT_EQ(encoded.codec, Codec::raw);
  EXPECT_EQ(encoded.size, chunk_size);
  ASSERT_TRUE(decode_chunk(encoded.codec, std::span(stored).first(encoded.size), back));
  EXPECT_EQ(back, chunk);
}

TEST_F(CodecTest, TheSamplingDoesNotMistakeProgramsForRandomBytes) {
  // Half of the byte values only: one bit in eight to gain.
  test::fill(chunk, test::Piece::Kind::random, 3);
  for (std::byte& b : chunk) b &= std::byte{0x7f};
  EXPECT_EQ(encode_chunk(chunk, stored).codec, Codec::zstd);
}

TEST_F(CodecTest, DamageDoesNotDecode) {
  const EncodedChunk encoded = encode(test::Piece::Kind::text);
  EXPECT_FALSE(decode_chunk(encoded.codec, std::span(stored).first(encoded.size - 1), back));
  EXPECT_FALSE(decode_chunk(Codec::raw, std::span(stored).first(encoded.size), back));
  EXPECT_FALSE(decode_chunk(static_cast<Codec>(9), std::span(stored).first(encoded.size), back));
  stored[0] ^= std::byte{1};
  EXPECT_FALSE(decode_chunk(encoded.codec, std::span(stored).first(encoded.size), back));
}

}  // namespace
}  // namespace kiln

#include <kiln/digest.h>

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Digest, ReadsWhatItWrites) {
  Digest d;
  for (std::size_t i = 0; i < d.bytes.size(); ++i) d.bytes[i] = static_cast<std::byte>(i * 7);
  EXPECT_EQ(parse_digest(to_hex(d)), d);
  EXPECT_EQ(parse_digest("sha256:" + to_hex(d)), d);
}

TEST(Digest, RefusesOtherText) {
  EXPECT_FALSE(parse_digest(""));
  EXPECT_FALSE(parse_digest(std::string(63, 'a')));
  EXPECT_FALSE(parse_digest(std::string(64, 'g')));
  EXPECT_FALSE(parse_digest("md5:" + std::string(64, 'a')));
}

TEST(Digest, TheDefaultIsTheZeroChunk) {
  EXPECT_TRUE(Digest{}.is_zero_chunk());
}

}  // namespace
}  // namespace kiln

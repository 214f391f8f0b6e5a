#include <kiln/hash.h>

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

TEST(Digest, OfEachAlgorithmIsTheStandards) {  // FIPS 180-2, appendices A.1, B.1 and C.1
  EXPECT_EQ(Hasher(Algorithm::sha1).update("abc").hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(Hasher(Algorithm::sha256).update("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hasher(Algorithm::sha512).update("abc").hex().substr(0, 32), "ddaf35a193617abacc417349ae204131");
}

TEST(Digest, TheDefaultIsTheZeroChunk) {
  EXPECT_TRUE(Digest{}.is_zero_chunk());
}

}  // namespace
}  // namespace kiln

#include "disk/content.h"

#include <gtest/gtest.h>

#include <kiln/file.h>

#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

TEST(IsZero, SeesEveryByte) {
  std::vector<std::byte> bytes(1000);
  EXPECT_TRUE(is_zero(bytes));
  EXPECT_TRUE(is_zero({}));
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    bytes[i] = std::byte{1};
    EXPECT_FALSE(is_zero(bytes)) << i;
    bytes[i] = std::byte{0};
  }
}

TEST(ContentHasher, IsTheDocumentedSum) {
  const Digest chunk = sha256("a chunk");
  ContentHasher hasher(65536 * 3);
  hasher.add(1, Digest{});  // zeros: no part of it
  hasher.add(2, chunk);
  std::string text = "kiln-disk-1\n";
  text += std::string("\0\0\3\0\0\0\0\0", 8) + std::string("\2\0\0\0\0\0\0\0", 8);
  text.append(reinterpret_cast<const char*>(chunk.bytes.data()), 32);
  EXPECT_EQ(hasher.finish(), sha256(text));
}

TEST(Hasher, AgreesWithTheKnownVectorsAndIsReusable) {
  Hasher hasher;
  EXPECT_EQ(hasher.update("abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hasher.hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hasher(Algorithm::sha512).update("abc").hex().substr(0, 16), "ddaf35a193617aba");
  EXPECT_THROW(Hasher(Algorithm::sha512).digest(), Error);
}

TEST(HashFile, AgreesWithSha256sum) {
  test::TempDir dir;
  write_text(dir / "file", std::string(700'001, 'x'));
  const std::string expected = test::run({"sha256sum", (dir / "file").string()}).output.substr(0, 64);
  EXPECT_EQ(hash_file(dir / "file"), expected);
  EXPECT_THROW(hash_file(dir / "none"), Error);
}

}  // namespace
}  // namespace kiln

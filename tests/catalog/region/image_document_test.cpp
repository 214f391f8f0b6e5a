#include "catalog/region/image_document.h"

#include <gmock/gmock.h>

#include <string>

#include <kiln/hash.h>

#include "catalog/fixture.h"

namespace kiln {
namespace {

ImageEntry sample() {
  ImageEntry entry;
  entry.image.id = "0af1", entry.image.name = "web", entry.image.version = "1";
  entry.image.content = sha256("x"), entry.image.virtual_size = 7;
  entry.image.facts = {{"os.distro", "debian"}};
  entry.owner = "alice";
  entry.signatures = {{std::string(64, 'a'), std::string(128, 'b'), "2026-11-22T20:00:00Z", "2026-11-23T20:00:00Z"}};
  entry.life.revoked_at = "2999-01-01T00:00:00Z";
  return entry;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ImageDocument, IsReadAsItWasWritten) {
  const ImageEntry entry = sample(), read = from_document(to_document(entry));
  EXPECT_EQ(to_document(read), to_document(entry));
  EXPECT_EQ(read.image.content, entry.image.content);
  ASSERT_EQ(read.signatures.size(), 1u);
  EXPECT_EQ(read.signatures[0].signature, entry.signatures[0].signature);
  EXPECT_EQ(read.signatures[0].made, "2026-11-22T20:00:00Z");
  EXPECT_EQ(read.life.revoked_at, "2999-01-01T00:00:00Z");
}

TEST(ImageDocument, OnlyOneWithPartsIsForNewerPrograms) {
  ImageEntry entry = sample();
  EXPECT_THAT(to_document(entry), testing::HasSubstr("\"kiln\": 1"));
  EXPECT_THAT(to_document(entry), testing::Not(testing::HasSubstr("parts")));
  EXPECT_TRUE(from_document(to_document(entry)).image.parts.empty());
  entry.image.parts = {{"disk", "disk1", sha256("y"), 8}, {"vars", "vars", sha256("z"), 9}};
  EXPECT_THAT(to_document(entry), testing::HasSubstr("\"kiln\": 2"));
  const ImageEntry read = from_document(to_document(entry));
  EXPECT_EQ(to_document(read), to_document(entry));
  ASSERT_EQ(read.image.parts.size(), 2u);
  EXPECT_EQ(read.image.parts[1].name, "vars");
  EXPECT_EQ(read.image.parts[1].content, sha256("z"));
  EXPECT_EQ(read.image.parts[1].virtual_size, 9u);
  EXPECT_THROW(from_document(replaced(to_document(entry), "\"disk1\"", "\"../disk\"")), Error);
}

TEST(ImageDocument, OneThatIsNoneIsRefused) {
  const std::string whole = to_document(sample());
  for (const std::string& text :
       {std::string(), std::string("[]"), replaced(whole, "\"id\"", "\"idd\""), replaced(whole, "0af1", "../../x"),
        replaced(whole, "sha256:", "md5:"), replaced(whole, std::string(64, 'a'), "key"),
        replaced(whole, "\"virtual_size\": 7", "\"virtual_size\": \"7\"")})
    EXPECT_STREQ(test::error_of([&] { from_document(text); }).what(), "an image's document is damaged") << text;
  EXPECT_THAT(test::error_of([&] { from_document(replaced(whole, "\"web\"", "\"../web\"")); }).what(),
              testing::HasSubstr("is not allowed"));
  EXPECT_STREQ(test::error_of([&] { from_document(replaced(whole, "\"kiln\": 1", "\"kiln\": 3")); }).what(),
               "an image's document was written by a newer kiln");
}

}  // namespace
}  // namespace kiln

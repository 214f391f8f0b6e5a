#include "catalog/names.h"

#include <gtest/gtest.h>

#include "fixture.h"

namespace kiln {
namespace {

TEST(Names, WhatIsSafeAsAFileNameIsAllowed) {
  for (const char* name : {"web", "Web-2_x.y", "_a", "9"}) EXPECT_NO_THROW(require_name("image name", name)) << name;
  EXPECT_NO_THROW(require_name("image name", std::string(128, 'a')));
}

TEST(Names, EverythingElseIsRefused) {
  for (const char* name : {"", ".", "..", ".a", "-a", "a/b", "a:b", "a b", "a\n", "ä", "*"})
    EXPECT_THROW(require_name("image name", name), Error) << name;
  EXPECT_THROW(require_name("image name", std::string(129, 'a')), Error);
}

TEST(Names, TheErrorSaysWhatIsAllowed) {
  const Error error = test::error_of([] { require_name("image version", "1/2"); });
  EXPECT_STREQ(error.what(), "image version \"1/2\" is not allowed");
  EXPECT_EQ(error.hint(),
            "use 1 to 128 letters, digits, \".\", \"_\" or \"-\", and begin with none of \".\" and \"-\"");
  EXPECT_EQ(error.failure(), Failure::invalid);
}

TEST(Texts, AreUtf8AndBounded) {
  for (const char* good : {"", "a\nb\t\x1b", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"})
    EXPECT_NO_THROW(require_text("it", good)) << good;
  for (const char* bad : {"\xff", "caf\xe9", "\xc3", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80"}) {
    const Error error = test::error_of([&] { require_text("the reason", bad); });
    EXPECT_STREQ(error.what(), "the reason is no UTF-8");
    EXPECT_EQ(error.failure(), Failure::invalid);
  }
  EXPECT_NO_THROW(require_text("it", std::string(4096, 'x')));
  EXPECT_STREQ(test::error_of([] { require_text("it", std::string(4097, 'x')); }).what(),
               "it has 4097 bytes, at most 4096 are kept");
}

TEST(Names, AReferenceIsANameAndATag) {
  EXPECT_EQ(parse_reference("web").name, "web");
  EXPECT_EQ(parse_reference("web").tag, "");
  EXPECT_EQ(parse_reference("web:1.0").name, "web");
  EXPECT_EQ(parse_reference("web:1.0").tag, "1.0");
}

TEST(Names, AReferenceIsWhole) {
  for (const char* reference : {"web:", "/web", "alice/", ":1", "alice/:1"})
    EXPECT_THROW((void)parse_reference(reference), Error) << reference;
  const Error error = test::error_of([] { (void)parse_reference("web:"); });
  EXPECT_STREQ(error.what(), "\"web:\" names no image: there is nothing after the \":\"");
  EXPECT_EQ(error.failure(), Failure::invalid);
}

TEST(Names, AReferenceMayNameAnOwner) {
  EXPECT_EQ(parse_reference("web:1").owner, "");
  const Reference owned = parse_reference("alice/web:1.0");
  EXPECT_EQ(owned.owner, "alice");
  EXPECT_EQ(owned.name, "web");
  EXPECT_EQ(owned.tag, "1.0");
}

}  // namespace
}  // namespace kiln

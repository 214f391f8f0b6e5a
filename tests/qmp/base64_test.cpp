#include "qmp/base64.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

// The test vectors of RFC 4648, section 10.
TEST(Base64, IsThatOfTheRfc) {
  for (const auto& [bytes, text] : {std::pair{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
}

TEST(Base64, CarriesEveryByte) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
}

TEST(Base64, WhatIsNoneIsNothing) {
  for (const char* bad : {"Z", "Zg", "Zg=", "Z!==", "====", "Zg==Zg==", "Zg==Zg==x"})
    EXPECT_FALSE(from_base64(bad)) << bad;
}

}  // namespace
}  // namespace kiln

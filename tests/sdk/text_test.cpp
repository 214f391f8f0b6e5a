#include <kiln/text.h>

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(printable("Debian GNU/Linux 12 – Größe 日本"), "Debian GNU/Linux 12 – Größe 日本");
}

TEST(Printable, EscapesWhatMovesTheCursorOrHides) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\x7f"), "a\\x1b[2Jb\\r\\n\\x7f");
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "exe"),
            "\\xe2\\x80\\xae"
            "exe")
      << "right-to-left override";
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b"
            "31m")
      << "C1 control sequence introducer";
}

TEST(Printable, KeepsALineOneLine) {
  EXPECT_EQ(printable("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(printable(std::string("nul\0", 4)), "nul\\x00");
}

TEST(Printable, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82") << "cut sequence";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
}

TEST(Printable, IsBounded) {
  EXPECT_EQ(printable(std::string(1000, 'x'), 5), "xxxxx…");
  EXPECT_EQ(printable("\x01\x01", 5), "\\x01…");
}

}  // namespace
}  // namespace kiln

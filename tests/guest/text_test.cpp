#include "guest/text.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

using testing::ElementsAre;

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(printable("Debian GNU/Linux 12 – Größe 日本"), "Debian GNU/Linux 12 – Größe 日本");
}

TEST(Printable, EscapesWhatMovesTheCursorOrHides) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\x7f"), "a\\x1b[2Jb\\x0d\\x0a\\x7f");
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

TEST(Printable, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82") << "cut sequence";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
}

TEST(Printable, IsBounded) {
  EXPECT_EQ(printable(std::string(1000, 'x'), 5), "xxxxx…");
  EXPECT_EQ(printable("\x01\x01", 5), "\\x01…");
}

TEST(LastLines, KeepsTheEndInOrder) {
  EXPECT_THAT(last_lines("one\ntwo\n\nthree\x07\n", 2), ElementsAre("two", "three\\x07"));
  EXPECT_THAT(last_lines("", 2), ElementsAre());
}

}  // namespace
}  // namespace kiln

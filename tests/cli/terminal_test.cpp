#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace kiln::cli {
namespace {

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(printable("Größe 1 → 2 …"), "Größe 1 → 2 …");
}

TEST(Printable, DisarmsControlCharacters) {
  EXPECT_EQ(printable("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(printable("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(printable(std::string("nul\0", 4)), "nul\\x00");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\x9b31m");
}

TEST(Width, CountsCharactersNotBytes) {
  EXPECT_EQ(width_of("abc"), 3U);
  EXPECT_EQ(width_of("█░"), 2U);
}

TEST(Fit, CutsWholeCharacters) {
  EXPECT_EQ(fit("abcdef", 6), "abcdef");
  EXPECT_EQ(fit("abcdef", 4), "abc…");
  EXPECT_EQ(fit("ääää", 3), "ää…");
  EXPECT_EQ(fit("abc", 0), "");
}

TEST(Pad, FillsOnEitherSide) {
  EXPECT_EQ(pad("ä", 3), "ä  ");
  EXPECT_EQ(pad("ä", 3, true), "  ä");
  EXPECT_EQ(pad("long", 2), "long");
}

}  // namespace
}  // namespace kiln::cli

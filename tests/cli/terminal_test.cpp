#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace kiln::cli {
namespace {

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

#include "guest/text.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

using testing::ElementsAre;

TEST(OptionValue, DoublesCommas) {
  EXPECT_EQ(option_value("/home/a,b/,c"), "/home/a,,b/,,c");
}

TEST(LastLines, KeepsTheEndInOrder) {
  EXPECT_THAT(last_lines("one\ntwo\n\nthree\x07\n", 2), ElementsAre("two", "three\\x07"));
  EXPECT_THAT(last_lines("", 2), ElementsAre());
}

}  // namespace
}  // namespace kiln

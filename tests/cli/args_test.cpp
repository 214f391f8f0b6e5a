#include "cli/args.h"

#include <gmock/gmock.h>

namespace kiln::cli {
namespace {

template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.failure(), Failure::invalid);
    return error.what();
  }
  return "no error";
}

Args with(const std::string& name, const std::string& value) {
  Args args;
  args.add(name, value);
  return args;
}

TEST(Args, KeepsTheLastOfOneAndAllOfMany) {
  Args args;
  args.add("set", "a=1");
  args.add("set", "b=2");
  EXPECT_EQ(args.text("set"), "b=2");
  EXPECT_THAT(args.all("set"), testing::ElementsAre("a=1", "b=2"));
  EXPECT_TRUE(args.all("other").empty());
  EXPECT_EQ(args.text("other", "x"), "x");
  EXPECT_FALSE(args.has("other"));
}

TEST(Args, ReadsNumbersSizesAndTimes) {
  EXPECT_EQ(with("cpus", "8").integer("cpus", 2, 1, 255), 8);
  EXPECT_EQ(Args{}.integer("cpus", 2, 1, 255), 2);
  EXPECT_EQ(with("memory", "2G").size("memory", {}).count, 2ULL << 30);
  EXPECT_EQ(with("timeout", "90s").duration("timeout", {}), std::chrono::seconds(90));
}

TEST(Args, NamesTheOptionThatIsWrong) {
  EXPECT_EQ(error_of([] { (void)with("cpus", "0").integer("cpus", 2, 1, 255); }),
            "--cpus takes a number from 1 to 255, not \"0\"");
  EXPECT_EQ(error_of([] { (void)with("cpus", "2x").integer("cpus", 2, 1, 255); }),
            "--cpus takes a number from 1 to 255, not \"2x\"");
  EXPECT_EQ(error_of([] { (void)with("memory", "much").size("memory", {}); }), "--memory takes a size, not \"much\"");
  EXPECT_EQ(error_of([] { (void)with("memory", "99999999999T").size("memory", {}); }),
            "--memory takes a size, not \"99999999999T\"");
  EXPECT_EQ(error_of([] { (void)with("timeout", "soon").duration("timeout", {}); }),
            "--timeout takes a duration, not \"soon\"");
  EXPECT_EQ(error_of([] { (void)with("set", "novalue").pairs("set"); }), "--set takes key=value, not \"novalue\"");
}

TEST(Args, SplitsPairsAtTheFirstEqualsSign) {
  const auto pairs = with("set", "url=a=b").pairs("set");
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_EQ(pairs[0].first, "url");
  EXPECT_EQ(pairs[0].second, "a=b");
}

}  // namespace
}  // namespace kiln::cli

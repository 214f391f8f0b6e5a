#include <kiln/value.h>

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Bytes, ReadsUnitsOf1024) {
  EXPECT_EQ(parse_bytes("0")->count, 0u);
  EXPECT_EQ(parse_bytes("512")->count, 512u);
  EXPECT_EQ(parse_bytes("20G")->count, 20ull << 30);
  EXPECT_EQ(parse_bytes("20GB")->count, 20ull << 30);
  EXPECT_EQ(parse_bytes("1.5 GiB")->count, 3ull << 29);
  EXPECT_EQ(parse_bytes("4k")->count, 4096u);
  EXPECT_EQ(parse_bytes("18446744073709551615")->count, ~0ull);
}

TEST(Bytes, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "G", "-1G", "20X", "20Gb", "1.5", "16E", "18446744073709551616", "1e5", "nan", "inf", " 1"})
    EXPECT_FALSE(parse_bytes(text)) << text;
}

TEST(Bytes, PrintsOneDecimal) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(10066330), "9.6 MiB");
  EXPECT_EQ(format_bytes(~0ull), "16.0 EiB");
}

TEST(Durations, Read) {
  EXPECT_EQ(parse_duration("90s")->count(), 90'000);
  EXPECT_EQ(parse_duration("1h30m")->count(), 5'400'000);
  EXPECT_EQ(parse_duration("250ms")->count(), 250);
  for (const char* text : {"", "90", "-1s", "s", "5 s", "1x"}) EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Durations, Print) {
  EXPECT_EQ(format_duration(Duration(1400)), "1.4 s");
  EXPECT_EQ(format_duration(Duration(130'000)), "2 min 10 s");
  EXPECT_EQ(format_duration(Duration(59'960)), "1 min 0 s");
  EXPECT_EQ(format_duration(Duration(11'100'000)), "3 h 5 min");
}

TEST(Canonical, IsOneLineAndUnambiguous) {
  const Value v{Table{{"b", Value{List{Value{true}, Value{std::string("a\"\n")}}}}, {"a", Value{Bytes{5}}}}};
  EXPECT_EQ(canonical(v), "{\"a\"=5B,\"b\"=[true,\"a\\\"\\u000a\"]}");
}

TEST(Nearest, SuggestsOnlyWhatIsNear) {
  EXPECT_EQ(nearest("hostnmae", {"users", "hostname"}), "hostname");
  EXPECT_EQ(nearest("qcow", {"raw", "qcow2", "vhd"}), "qcow2");
  EXPECT_FALSE(nearest("frobnicate", {"users", "hostname"}));
  EXPECT_FALSE(nearest("x", {"a"}));
}

}  // namespace
}  // namespace kiln

#include "cli/output.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include <kiln/error.h>
#include <nlohmann/json.hpp>

#include "cli/errors.h"

namespace kiln::cli {
namespace {

/// What `write` leaves on the stream.
template <class Write>
std::string written(Write write) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* stream = ::open_memstream(&text, &size);
  Output out(stream, -1, false);
  write(out);
  out.flush();
  std::fclose(stream);
  std::string result(text, size);
  std::free(text);
  return result;
}

TEST(Output, AlignsTables) {
  const std::string text = written([](Output& out) {
    out.table({{"NAME", ">SIZE", "WHY"}, {{"web", "8.0 GiB", "x"}, {"längst", "9 B", ""}}});
  });
  EXPECT_EQ(text,
            "NAME       SIZE  WHY\n"
            "web     8.0 GiB  x\n"
            "längst      9 B\n");
}

TEST(Output, KeepsATablesRowsOnTheirLines) {
  EXPECT_EQ(written([](Output& out) { out.table({{"NAME"}, {{"a\nb\x1b[1m"}}}); }), "NAME\na\\nb\\x1b[1m\n");
}

TEST(Output, WritesValidJsonForAnyBytes) {
  const std::string text = written([](Output& out) { out.object({{"file", "\xff\xfe\n\"x"}, {"n", 1}}); });
  const Json parsed = Json::parse(text);
  EXPECT_EQ(parsed["n"], 1);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(Output, NoticesAFullDisk) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  Output out(full, -1, false);
  out.line("answer");
  EXPECT_THROW(out.flush(), Error);
  std::fclose(full);
}

TEST(Errors, ShowFactEvidenceAndHelp) {
  const Error error("stage 1 \"import\": a.qcow2 is truncated", "get it again", {"bytes 8..15", "esc \x1b[2J"});
  EXPECT_EQ(render(error, Style(false)),
            "error: stage 1 \"import\": a.qcow2 is truncated\n"
            "     | bytes 8..15\n"
            "     | esc \\x1b[2J\n"
            "help: get it again\n");
  const Json json = error_json(refused("no", "why", {"a"}));
  EXPECT_EQ(json.dump(), R"({"error":{"what":"no","code":"","evidence":["a"],"help":"why","exit":3}})");
}

TEST(Text, GroupsDigitsAndTellsAges) {
  EXPECT_EQ(grouped(7), "7");
  EXPECT_EQ(grouped(29114), "29 114");
  EXPECT_EQ(grouped(1234567), "1 234 567");
  const auto ago = [](std::time_t seconds) {
    const std::time_t then = std::time(nullptr) - seconds;
    char text[32];
    std::tm parts{};
    ::gmtime_r(&then, &parts);
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return age_of(text);
  };
  EXPECT_EQ(ago(150), "2 min");
  EXPECT_EQ(ago(5 * 3600 + 60), "5 h");
  EXPECT_EQ(ago(40 * 86400 + 60), "40 d");
  EXPECT_EQ(age_of("no time"), "no time");
}

}  // namespace
}  // namespace kiln::cli

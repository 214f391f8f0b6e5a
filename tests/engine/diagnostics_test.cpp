#include "engine/diagnostics.h"

#include <gtest/gtest.h>

namespace kiln::engine {
namespace {

const Diagnostic sample{.file = "web.toml",
                        .place = {14, 3, 8},
                        .what = "stage 2 \"customize\": unknown parameter \"hostnmae\"",
                        .hint = "did you mean \"hostname\"?",
                        .source = "\t\thostnmae = \"web\""};

TEST(Diagnostics, ShowThePlace) {
  EXPECT_EQ(render(sample),
            "web.toml:14:3: error: stage 2 \"customize\": unknown parameter \"hostnmae\"\n"
            "   14 |   hostnmae = \"web\"\n"
            "      |   ^^^^^^^^\n"
            "help: did you mean \"hostname\"?\n");
}

TEST(Diagnostics, CannotDrawOnATerminal) {
  const Diagnostic hostile{
      .file = "a\nb.toml", .place = {1, 1, 1}, .what = "no \x1b[2J", .hint = "try \xff", .source = "x = \"\x1b\""};
  EXPECT_EQ(render(hostile), "a\\nb.toml:1:1: error: no \\x1b[2J\n    1 | x = \"\\x1b\"\nhelp: try \\xff\n");
}

TEST(Diagnostics, AreCounted) {
  const Diagnostic bare{.file = "", .what = "nothing to do"};
  EXPECT_EQ(render(std::vector{bare}), "error: nothing to do\n1 problem; nothing was run\n");
  EXPECT_TRUE(render(std::vector{bare, bare}).ends_with("2 problems; nothing was run\n"));
}

TEST(Diagnostics, ComeAsJson) {
  EXPECT_EQ(render_json({sample}),
            "[\n  {\n    \"file\": \"web.toml\",\n    \"line\": 14,\n    \"column\": 3,\n    \"length\": 8,\n"
            "    \"message\": \"stage 2 \\\"customize\\\": unknown parameter \\\"hostnmae\\\"\",\n"
            "    \"hint\": \"did you mean \\\"hostname\\\"?\"\n  }\n]");
}

}  // namespace
}  // namespace kiln::engine

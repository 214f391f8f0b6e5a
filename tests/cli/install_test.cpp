// What `cmake --install` makes is complete in itself: moved anywhere, it finds its plugins, pipelines and library.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using nlohmann::json;

TEST(Install, RunsFromWhereverItIs) {
  Program kiln;
  const auto prefix = kiln / "some where";
  const Outcome installed = run({"cmake", "--install", KILN_BINARY_DIR, "--prefix", prefix});
  ASSERT_EQ(installed.status, 0) << installed.output;
  const auto moved = kiln / "else where";
  std::filesystem::rename(prefix, moved);

  kiln.binary = moved / "bin/kiln";
  kiln.raw_disk("disk.raw");
  const Answer listed = kiln({"plugin", "list", "--json"});
  ASSERT_EQ(listed.status, 0) << listed.err;
  const json plugins = json::parse(listed.out)["plugins"];
  EXPECT_GE(plugins.size(), 10U);
  for (const json& plugin : plugins) {
    EXPECT_FALSE(plugin.contains("error")) << plugin;
    EXPECT_TRUE(plugin["file"].get<std::string>().starts_with(moved.string())) << plugin["file"];
  }
  EXPECT_EQ(kiln({"check", "debian"}).status, 0);
  EXPECT_EQ(kiln({"convert", "disk.raw", "disk.qcow2"}).status, 0);
  EXPECT_FALSE(files_below(moved / "include/kiln").empty());
  const Answer unknown = kiln({"inspect", "disk.raw", "--profile", "nope"});
  EXPECT_THAT(unknown.err, testing::HasSubstr("there are aws, glance, none, tencent"));
}

}  // namespace
}  // namespace kiln::test

// Every verb that starts no guest, asked the way a user asks it, as text and as JSON.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "support/disks.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

constexpr char pipeline[] = R"([pipeline]
name = "web"

[[stage]]
use  = "import"
file = "disk.raw"

[[stage]]
use   = "publish"
image = "web"

[[stage]]
use    = "write"
format = "vhd"
file   = "out.vhd"
)";

class Verbs : public testing::Test {
 protected:
  Verbs() { kiln.raw_disk("disk.raw"); }
  json ask(std::vector<std::string> words, int status = 0) {
    words.push_back("--json");
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, status) << answer.out << answer.err;
    EXPECT_EQ(answer.err, "");
    return json::parse(answer.out);
  }
  std::vector<json> ask_lines(std::vector<std::string> words) {
    words.push_back("--json");
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    std::vector<json> all;
    std::istringstream lines(answer.out);
    for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
    return all;
  }
  Answer tell(const std::vector<std::string>& words) {
    Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    return answer;
  }
  Program kiln;
};

TEST_F(Verbs, VersionAndHelp) {
  EXPECT_THAT(tell({"--version"}).out, MatchesRegex("kiln [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(tell({"--help"}).out, HasSubstr("doctor"));
  const Answer nothing = kiln({});
  EXPECT_EQ(nothing.status, 2);
  EXPECT_THAT(nothing.err, HasSubstr("build"));
  EXPECT_FALSE(std::filesystem::exists(kiln.home()));
}

TEST_F(Verbs, Check) {
  kiln.write("web.toml", pipeline);
  EXPECT_EQ(tell({"check", "web.toml"}).out, "web.toml: 3 stages, nothing wrong\n");
  const json answer = ask({"check", "web.toml"});
  EXPECT_EQ(answer["ok"], true);
  EXPECT_EQ(answer["stages"], json::parse(R"(["import","publish","write"])"));
}

TEST_F(Verbs, PlanThenBuildThenPlanAgain) {
  kiln.write("web.toml", pipeline);
  json plan = ask({"plan", "web.toml"});
  EXPECT_EQ(plan["hits"], 0);
  EXPECT_EQ(plan["stages"].size(), 3U);

  const Answer built = tell({"build", "web.toml"});
  EXPECT_THAT(built.out,
              MatchesRegex("image web:[-.0-9]+  sha256:[0-9a-f]+…  in .*; launch it with: kiln launch web\n"));
  EXPECT_THAT(built.err, StartsWith("web  3 stages"));
  EXPECT_THAT(built.err, HasSubstr("\n 3 write  "));
  EXPECT_TRUE(std::filesystem::exists(kiln / "out.vhd"));

  plan = ask({"plan", "web.toml", "--why"});
  EXPECT_EQ(plan["hits"], 3) << plan;
  EXPECT_THAT(tell({"plan", "web.toml", "--why"}).out, EndsWith("nothing to do: every result is there\n"));
  EXPECT_THAT(tell({"build", "web.toml"}).err, HasSubstr("3 stages, 3 cached"));
}

TEST_F(Verbs, PlanSaysWhatChanged) {
  kiln.write("web.toml", pipeline);
  tell({"build", "web.toml"});
  std::string changed(pipeline);
  changed.replace(changed.find("out.vhd"), 7, "two.vhd");
  kiln.write("web.toml", changed);
  const Answer plan = tell({"plan", "web.toml", "--why"});
  EXPECT_THAT(plan.out, HasSubstr(" 2 publish  hit"));
  EXPECT_THAT(plan.out, HasSubstr(" 3 write    MISS   file changed: "));
  EXPECT_THAT(plan.out, HasSubstr("2 of 3 stages will run"));  // the source is read again for it
}

TEST_F(Verbs, BuildAsJsonIsOneEventPerLine) {
  kiln.write("web.toml", pipeline);
  const std::vector<json> events = ask_lines({"build", "web.toml"});
  ASSERT_GE(events.size(), 5U);
  EXPECT_EQ(events.front()["event"], "run_started");
  EXPECT_EQ(events.back()["event"], "run_done");
  EXPECT_EQ(events.back()["facts"]["image.reference"].get<std::string>().substr(0, 4), "web:");
}

TEST_F(Verbs, BuildRunsAgainWhatItIsToldTo) {
  kiln.write("web.toml", pipeline);
  tell({"build", "web.toml"});
  const Answer again = tell({"build", "web.toml", "--again", "write"});
  EXPECT_THAT(again.err, HasSubstr(" 2 publish      cached"));
  EXPECT_THAT(again.err, Not(HasSubstr(" 3 write        cached")));
  const Answer unknown = kiln({"build", "web.toml", "--again", "wirte"});
  EXPECT_NE(unknown.status, 0);
  EXPECT_THAT(unknown.err, HasSubstr("wirte"));
}

TEST_F(Verbs, ConvertAgreesWithQemu) {
  for (const std::string format : {"qcow2", "vhd"}) {
    const Answer answer = tell({"convert", "disk.raw", "disk." + format});
    EXPECT_THAT(answer.out, MatchesRegex("disk." + format + "  " + format + "  .* [KM]iB  sha256:[0-9a-f]{64}\n"));
    qemu_to_raw(kiln / ("disk." + format), format == "vhd" ? "vpc" : format, kiln / "back.raw");
    EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "back.raw")) << format;
  }
}

TEST_F(Verbs, ConvertKeepsTheContentWhateverTheContainer) {
  const auto digest = [&](const std::string& file) { return ask({"inspect", file, "--digest"})["content"]; };
  tell({"convert", "disk.raw", "zstd.img", "--to", "qcow2", "-o", "compression=zstd"});
  tell({"convert", "zstd.img", "again.vhd", "--from", "qcow2"});
  EXPECT_EQ(digest("zstd.img"), digest("disk.raw"));
  EXPECT_EQ(digest("again.vhd"), digest("disk.raw"));
}

TEST_F(Verbs, ConvertReplacesItsOutputAndAlwaysWrites) {
  kiln.write("disk.qcow2", "in the way");
  tell({"convert", "disk.raw", "disk.qcow2"});
  kiln.write("disk.qcow2", "in the way");
  tell({"convert", "disk.raw", "disk.qcow2"});
  EXPECT_EQ(ask({"inspect", "disk.qcow2"})["format"], "qcow2");
}

TEST_F(Verbs, Inspect) {
  tell({"convert", "disk.raw", "disk.vhd"});
  const json answer = ask({"inspect", "disk.vhd", "--digest"});
  EXPECT_EQ(answer["format"], "vhd");
  EXPECT_EQ(answer["virtual_size"], 4 << 20);
  EXPECT_THAT(answer["content"].get<std::string>(), StartsWith("sha256:"));
  const Answer text = tell({"inspect", "disk.vhd"});
  EXPECT_THAT(text.out, StartsWith("format        vhd dynamic\nvirtual size  4.0 MiB (4194304 bytes)\n"));
  EXPECT_EQ(ask({"inspect", "disk.vhd", "--format", "raw"})["format"], "raw");
}

TEST_F(Verbs, TheLifeOfAnImage) {
  const Answer imported = tell({"import", "disk.raw", "--name", "web", "--version", "1"});
  EXPECT_THAT(imported.out, MatchesRegex("web:1  4.0 MiB, 1.[0-9] MiB stored  sha256:[0-9a-f]{64}\n"));
  EXPECT_THAT(tell({"image", "list"}).out, HasSubstr("web   1"));
  EXPECT_EQ(ask({"image", "list"})["images"][0]["version"], "1");
  EXPECT_EQ(ask({"image", "list", "other"})["images"].size(), 0U);
  EXPECT_EQ(ask({"image", "show", "web"})["virtual_size"], 4 << 20);
  EXPECT_THAT(tell({"image", "show", "web:1"}).out, HasSubstr("content"));
  EXPECT_EQ(ask({"image", "verify", "web"})["ok"], true);
  EXPECT_THAT(tell({"image", "verify", "web"}).out, HasSubstr("all as they were published"));
  EXPECT_EQ(ask({"image", "verify"})["image"], nullptr);
  EXPECT_THAT(tell({"image", "verify"}).out, StartsWith("the whole store: "));

  tell({"image", "export", "web", "out.qcow2"});
  qemu_to_raw(kiln / "out.qcow2", "qcow2", kiln / "back.raw");
  EXPECT_TRUE(same_files(kiln / "disk.raw", kiln / "back.raw"));
  EXPECT_EQ(ask({"image", "export", "web", "out.img", "--format", "vhd"})["format"], "vhd");

  EXPECT_EQ(ask({"image", "rm", "web:1", "--now"})["removed"], "web:1");
  EXPECT_THAT(tell({"image", "list"}).out, StartsWith("no images"));
}

TEST_F(Verbs, ImagesOfTheSameContentAreToldWithoutAnAppliance) {
  tell({"import", "disk.raw", "--name", "a", "--version", "1"});
  tell({"import", "disk.raw", "--name", "b", "--version", "1"});
  // An accelerator that there is not would be an error once an appliance is started.
  const json answer = ask({"image", "diff", "a", "b", "--accel", "none"});
  EXPECT_EQ(answer["same_content"], true);
  EXPECT_EQ(answer["chunks"]["differ"], 0);
  EXPECT_THAT(tell({"image", "diff", "a", "b"}).out,
              MatchesRegex("a:1 → b:1  the same content  sha256:[0-9a-f]{64}\n"));
  EXPECT_EQ(kiln({"image", "diff", "a", "c"}).status, 2);
  EXPECT_EQ(kiln({"image", "diff", "a", "b", "--limit", "0"}).status, 2);
}

TEST_F(Verbs, Ps) {
  EXPECT_EQ(ask({"ps"})["instances"].size(), 0U);
  EXPECT_THAT(tell({"ps"}).out, StartsWith("no instances"));
}

TEST_F(Verbs, PluginList) {
  const json plugins = ask({"plugin", "list"})["plugins"];
  EXPECT_GE(plugins.size(), 10U);
  for (const json& plugin : plugins) EXPECT_FALSE(plugin.contains("error")) << plugin;
  EXPECT_THAT(tell({"plugin", "list"}).out, HasSubstr("qcow2"));
}

TEST_F(Verbs, PluginInfo) {
  EXPECT_EQ(ask({"plugin", "info", "publish"})["role"], "sink");
  EXPECT_THAT(tell({"plugin", "info", "import"}).out, HasSubstr("file"));
  EXPECT_THAT(tell({"plugin", "info", "import", "--markdown"}).out, HasSubstr("| `file` | a path |"));
}

TEST_F(Verbs, PluginCheck) {
  const std::string file = KILN_BINARY_DIR "/lib/kiln/plugins/kiln-format-qcow2.so";
  EXPECT_EQ(ask({"plugin", "check", file})["name"], "qcow2");
  EXPECT_THAT(tell({"plugin", "check", file}).out, HasSubstr("fits this kiln"));
}

TEST_F(Verbs, PluginSchemaKnowsEveryStage) {
  const json schema = ask({"plugin", "schema"});
  const json& stages = schema["properties"]["stage"]["items"]["oneOf"];
  std::vector<std::string> names;
  for (const json& stage : stages) names.push_back(stage["properties"]["use"]["const"]);
  EXPECT_THAT(names, testing::IsSupersetOf({"import", "publish", "write"}));
  EXPECT_EQ(json::parse(tell({"plugin", "schema"}).out), schema);
}

TEST_F(Verbs, CacheIsListedAndCleared) {
  kiln.write("web.toml", pipeline);
  tell({"build", "web.toml"});
  EXPECT_TRUE(ask({"cache", "list"}).contains("layers"));
  EXPECT_TRUE(ask({"cache", "clear"}).contains("freed_bytes"));
  EXPECT_EQ(ask({"cache", "list"})["layers"].size(), 0U);
  EXPECT_EQ(ask({"image", "list"})["images"].size(), 1U);
}

TEST_F(Verbs, ReadyMadePipelinesAreFoundByNameAndRight) {
  EXPECT_EQ(ask({"check", "debian"})["name"], "debian");
  EXPECT_EQ(ask({"check", "vendor", "--set", "disk=disk.raw"})["name"], "vendor");
}

}  // namespace
}  // namespace kiln::test

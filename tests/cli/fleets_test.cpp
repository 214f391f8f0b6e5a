// launch --count, --token and --queue, kiln apply, and kiln backup timer, with machines whose system is a GRUB.
#include <gmock/gmock.h>

#include <set>
#include <thread>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "cli/with_instances.h"
#include "support/run.h"
#include "support/tiny_image.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using Set = std::set<std::string>;

class Fleets : public WithInstances {
 protected:
  Fleets() { publish(); }
  /// A new version: the disk is a little larger than the last one.
  void publish() {
    qemu_to_raw(tiny_image("stay"), "qcow2", kiln / "tiny.raw");
    std::filesystem::resize_file(kiln / "tiny.raw", (8u + ++versions_) << 20);
    EXPECT_EQ(kiln({"import", "tiny.raw", "--name", "web"}).status, 0);
  }
  json launch(std::vector<std::string> more) {
    std::vector<std::string> words{"launch", "web", "--memory", "64M", "--cpus", "1", "--accel", "tcg"};
    words.insert(words.end(), more.begin(), more.end());
    return ask(words)["instances"];
  }
  /// Of instances, one field of each.
  static std::vector<std::string> all(const json& instances, const char* field) {
    std::vector<std::string> found;
    for (const json& one : instances) found.push_back(one[field].is_string() ? one[field] : json(one[field].dump()));
    return found;
  }
  std::vector<std::string> ps(const char* field = "name") { return all(ask({"ps"})["instances"], field); }
  /// "NAME what" of each.
  Set apply(std::vector<std::string> more = {}) {
    std::vector<std::string> words{"apply", "fleet.toml", "--accel", "tcg"};
    words.insert(words.end(), more.begin(), more.end());
    const json answer = ask(words);
    Set found;
    for (const json& one : answer["instances"])
      found.insert(one["name"].get<std::string>() + " " + one["what"].get<std::string>());
    return found;
  }
  void fleet(int web, const std::string& rest = "") {
    kiln.write("fleet.toml",
               "[fleet]\nname = \"shop\"\n[[instance]]\nname = \"web-#\"\nimage = \"web\"\nmemory = \"64M\"\ncpus = 1\n"
               "count = " +
                   std::to_string(web) + "\n" + rest);
  }

 private:
  unsigned versions_ = 0;
};

TEST_F(Fleets, ALaunchOfSeveral) {
  const json made = launch({"--count", "3", "--name", "a-##", "--port", "auto:80"});
  EXPECT_THAT(all(made, "name"), ElementsAre("a-01", "a-02", "a-03"));
  EXPECT_EQ(Set({made[0]["ports"].dump(), made[1]["ports"].dump(), made[2]["ports"].dump()}).size(), 3U);
  EXPECT_THAT(ps("state"), ElementsAre("running", "running", "running"));
  Set identities;
  for (const char* name : {"a-01", "a-02", "a-03"}) {
    const json record = json::parse(read_text(kiln.home() / "instances" / name / "instance.json"));
    identities.insert(record["uuid"]);
    identities.insert(record["mac"]);
    identities.insert(read_text(kiln.home() / "instances" / name / "seed.iso", 1 << 20));
  }
  EXPECT_EQ(identities.size(), 9U);
  EXPECT_THAT(all(launch({"--count", "2", "--name", "a-##", "--stopped"}), "name"), ElementsAre("a-04", "a-05"));
  EXPECT_THAT(kiln({"launch", "web", "--count", "501"}).err, HasSubstr("--count"));
}

TEST_F(Fleets, ATokenIsOneLaunch) {
  const json first = launch({"--count", "3", "--token", "T", "--name", "t-#"});
  const json again = launch({"--count", "3", "--token", "T", "--name", "t-#"});
  EXPECT_EQ(all(first, "name"), all(again, "name"));
  EXPECT_EQ(all(first, "pid"), all(again, "pid"));
  EXPECT_THAT(all(first, "was_there"), ElementsAre("false", "false", "false"));
  EXPECT_THAT(all(again, "was_there"), ElementsAre("true", "true", "true"));
  ask({"rm", "t-2", "--force"});
  EXPECT_THAT(all(launch({"--count", "3", "--token", "T", "--name", "t-#"}), "was_there"),
              ElementsAre("true", "true", "false"));
  EXPECT_THAT(ps(), ElementsAre("t-1", "t-2", "t-3"));
  publish();
  EXPECT_THAT(kiln({"launch", "web", "--token", "T", "--accel", "tcg"}).err,
              HasSubstr("the token \"T\" is of a launch"));
}

TEST_F(Fleets, WhatTheHostHasNoRoomForIsRefusedWithFigures) {
  const std::vector<std::string> words{"launch", "web", "--count", "500", "--memory", "64G", "--accel", "tcg"};
  const Answer refused = kiln(words);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, testing::MatchesRegex("error: .*64.0 GiB.*\nhelp: (.|\n)*"));
  EXPECT_TRUE(ps().empty());
  // One after the other, as the ones before end: 17 processors' worth of machines per processor never fit at once.
  const std::string cpus = std::to_string(16 * std::max(1U, std::thread::hardware_concurrency()));
  const auto queued = kiln.start({"launch", "web", "--count", "2", "--name", "q-#", "--queue", "--memory", "64M",
                                  "--cpus", cpus, "--accel", "tcg"});
  for (int i = 0; i < 600 && ps("state") != std::vector<std::string>{"running", "stopped"}; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_THAT(ps("state"), ElementsAre("running", "stopped"));
  ask({"rm", "q-1", "--force"});
  EXPECT_EQ(kiln.wait(queued).status, 0);
  EXPECT_THAT(ps("state"), ElementsAre("running"));
}

TEST_F(Fleets, ApplyingTwiceChangesNothing) {
  fleet(2);
  EXPECT_EQ(apply({"--dry-run"}), Set({"web-# launched"}));
  EXPECT_TRUE(ps().empty());
  EXPECT_EQ(apply(), Set({"web-1 launched", "web-2 launched"}));
  const auto pids = ps("pid");
  const json again = ask({"apply", "fleet.toml", "--accel", "tcg"});
  EXPECT_EQ(again["changed"], false);
  EXPECT_EQ(ps("pid"), pids);

  ask({"stop", "web-1", "--timeout", "0s"});
  EXPECT_EQ(apply({"--dry-run"}), Set({"web-1 started", "web-2 there"}));
  EXPECT_EQ(apply(), Set({"web-1 started", "web-2 there"}));
  ask({"rm", "web-1", "--force"});
  EXPECT_EQ(apply(), Set({"web-1 launched", "web-2 there"}));

  fleet(3);
  EXPECT_EQ(apply(), Set({"web-1 there", "web-2 there", "web-3 launched"}));
  fleet(1);
  EXPECT_EQ(apply(), Set({"web-1 there", "web-2 surplus", "web-3 surplus"}));
  EXPECT_THAT(kiln({"apply", "fleet.toml", "--accel", "tcg"}).out, HasSubstr("--prune removes"));
  EXPECT_EQ(ps().size(), 3U);
  EXPECT_EQ(apply({"--prune", "--dry-run"}), Set({"web-1 there", "web-2 removed", "web-3 removed"}));
  EXPECT_EQ(ps().size(), 3U);
  EXPECT_EQ(apply({"--prune"}), Set({"web-1 there", "web-2 removed", "web-3 removed"}));
  EXPECT_THAT(ps(), ElementsAre("web-1"));
}

TEST_F(Fleets, PruningTakesOnlyItsOwn) {
  launch({"--name", "mine", "--stopped"});
  fleet(1, "[[instance]]\nname = \"db\"\nimage = \"web\"\nmemory = \"64M\"\ncpus = 1\n");
  EXPECT_EQ(apply(), Set({"web-1 launched", "db launched"}));
  kiln.write("fleet.toml", "[fleet]\nname = \"sho\"\n");
  EXPECT_EQ(apply({"--prune"}), Set{});
  kiln.write("fleet.toml", "[fleet]\nname = \"shop\"\n");
  EXPECT_EQ(apply({"--prune"}), Set({"web-1 removed", "db removed"}));
  EXPECT_THAT(ps(), ElementsAre("mine"));
}

TEST_F(Fleets, ANewVersionReplacesWhenTold) {
  const std::string ports = "ports = [\"21980:80\"]\n";
  fleet(2, ports);
  EXPECT_EQ(apply(), Set({"web-1 launched", "web-2 launched"}));
  const auto pids = ps("pid");
  publish();
  EXPECT_EQ(apply(), Set({"web-1 outdated", "web-2 outdated"}));
  EXPECT_EQ(apply({"--replace", "--dry-run"}), Set({"web-1 replaced", "web-2 replaced"}));
  EXPECT_EQ(ps("pid"), pids);
  const auto before = ps("ports");
  EXPECT_EQ(apply({"--replace"}), Set({"web-1 replaced", "web-2 replaced"}));
  EXPECT_EQ(ps("ports"), before);
  EXPECT_NE(ps("image")[0], "");
  EXPECT_EQ(apply(), Set({"web-1 there", "web-2 there"}));

  // each has a port of its own, also when they come one after the other
  fleet(4, ports);
  EXPECT_EQ(apply(), Set({"web-1 there", "web-2 there", "web-3 launched", "web-4 launched"}));
  const auto now = ps("ports");
  EXPECT_EQ(Set(now.begin(), now.end()).size(), 4U);
}

TEST_F(Fleets, TwoAppliesAtOnceMakeOneFleet) {
  fleet(3);
  const auto first = kiln.start({"apply", "fleet.toml", "--accel", "tcg"});
  const auto second = kiln.start({"launch", "--from-file", "fleet.toml", "--accel", "tcg"});
  EXPECT_EQ(kiln.wait(first).status, 0);
  const Answer other = kiln.wait(second);
  EXPECT_EQ(other.status, 0) << other.err;
  EXPECT_THAT(ps(), ElementsAre("web-1", "web-2", "web-3"));
}

TEST_F(Fleets, AWrongFileChangesNothing) {
  fleet(2, "[[instance]]\nname = \"b\"\nimage = \"none\"\n");
  EXPECT_EQ(kiln({"apply", "fleet.toml", "--accel", "tcg"}).status, 2);
  fleet(2, "[[instance]]\nname = \"b\"\nimage = \"web\"\nmemory = \"much\"\n");
  const Answer size = kiln({"apply", "fleet.toml", "--accel", "tcg"});
  EXPECT_EQ(size.status, 2);
  EXPECT_THAT(size.err, HasSubstr("\"memory\" of \"b\" takes a size such as \"1G\", not \"much\""));
  fleet(2, "contains = 3\n");
  EXPECT_THAT(kiln({"apply", "fleet.toml"}).err, HasSubstr("fleet.toml:9:1: unknown setting \"contains\""));
  EXPECT_THAT(kiln({"apply", "none.toml"}).err, HasSubstr("none.toml"));
  EXPECT_EQ(kiln({"launch", "web", "--from-file", "fleet.toml"}).status, 2);
  EXPECT_THAT(kiln({"launch", "--count", "2", "--from-file", "fleet.toml"}).err,
              HasSubstr("--count and --from-file do not go together"));
  EXPECT_TRUE(ps().empty());
}

TEST_F(Fleets, TheTimerIsAsSystemdWantsIt) {
  launch({"--name", "one", "--stopped"});
  kiln.environment["XDG_CONFIG_HOME"] = (kiln / "config").string();
  const json units = ask({"backup", "timer", "one", "--every", "Mon *-*-* 03:00", "--keep", "hourly=24,daily=7"});
  EXPECT_EQ(units["unit"], "kiln-backup-one");
  EXPECT_EQ(units["installed"], false);
  EXPECT_THAT(units["service"].get<std::string>(),
              HasSubstr("\"" + kiln.binary + "\" backup \"one\" --keep \"hourly=24,daily=7\"\n"));
  EXPECT_THAT(units["service"].get<std::string>(), HasSubstr("\"KILN_HOME=" + kiln.home().string() + "\""));
  EXPECT_THAT(units["timer"].get<std::string>(), HasSubstr("OnCalendar=Mon *-*-* 03:00\n"));
  kiln.write("kiln-backup-one.service", units["service"]);
  kiln.write("kiln-backup-one.timer", units["timer"]);
  const Outcome verified = run({"systemd-analyze", "verify", (kiln / "kiln-backup-one.timer").string(), "--man=no"});
  EXPECT_EQ(verified.status, 0) << verified.output;
  EXPECT_THAT(verified.output, testing::Not(HasSubstr("kiln-backup-one")));
  const Answer text = kiln({"backup", "timer", "one"});
  EXPECT_THAT(text.out, HasSubstr("# kiln-backup-one.service\n[Unit]\n"));
  EXPECT_THAT(text.out, HasSubstr("OnCalendar=hourly\n"));
  EXPECT_EQ(kiln({"backup", "timer", "two"}).status, 2);
  EXPECT_EQ(kiln({"backup", "timer", "one", "--keep", "some"}).status, 2);
  EXPECT_EQ(kiln({"backup", "timer", "one", "--every", "a\nb"}).status, 2);
  EXPECT_EQ(kiln({"backup", "timer", "one", "--every", "sometimes"}).status, 2);
}

}  // namespace
}  // namespace kiln::test

// launch --count, --token and --queue, kiln apply, and kiln backup timer, with machines whose system is a GRUB.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
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

/// The first of `count` ports in a row that nobody listens on; below those that kiln chooses itself, for others.
std::uint16_t free_ports(std::uint16_t count) {
  const auto is_free = [](int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return free;
  };
  // Another test of this kind begins elsewhere.
  for (int first = 10000 + ::getpid() % 900 * 10; first + count < 20000; first += 10) {
    int free = 0;
    while (free < count && is_free(first + free)) ++free;
    if (free == count) return static_cast<std::uint16_t>(first);
  }
  ADD_FAILURE() << "no ports are free";
  return 0;
}

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
  EXPECT_EQ(kiln({"import", "tiny.raw", "--name", "db"}).status, 0);
  EXPECT_THAT(kiln({"launch", "db", "--token", "T", "--accel", "tcg"}).err,
              HasSubstr("the token \"T\" is of a launch"));
}

TEST_F(Fleets, ATokenHoldsThoughANewerVersionIsOut) {
  const std::vector<std::string> words{"launch", "web", "--memory", "64M", "--accel", "tcg", "--token", "T"};
  const json first = launch({"--count", "2", "--token", "T", "--name", "t-#"});
  const auto before = ps("image");
  publish();
  const json again = launch({"--count", "2", "--token", "T", "--name", "t-#"});
  EXPECT_EQ(all(first, "pid"), all(again, "pid"));
  EXPECT_EQ(ps("image"), before);
  EXPECT_THAT(kiln(words).out, HasSubstr("t-1  pid"));
  EXPECT_EQ(launch({"--token", "T"}).size(), 1U) << "no more than asked for";
}

TEST_F(Fleets, ATokenStartsWhatWasOnlyMade) {
  launch({"--token", "T", "--name", "t", "--stopped"});  // as a kiln leaves it that is killed before it starts it
  const json again = launch({"--token", "T", "--name", "t"});
  EXPECT_EQ(again[0]["was_there"], true);
  EXPECT_GT(again[0]["pid"], 0);
  EXPECT_THAT(ps("state"), ElementsAre("running"));
}

/// Two machines of that memory never fit at once, and one does.
std::string more_than_half_of_the_memory() {
  std::ifstream lines("/proc/meminfo");
  std::string name, unit;
  for (std::uint64_t kib = 0; lines >> name >> kib; std::getline(lines, unit))
    if (name == "MemAvailable:") return std::to_string(kib / 1024 * 55 / 100) + "M";
  return "";
}

TEST_F(Fleets, WhatTheHostHasNoRoomForIsRefusedWithFigures) {
  const Answer refused = kiln({"launch", "web", "--count", "500", "--memory", "64G", "--accel", "tcg"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, testing::MatchesRegex("error: .*64.0 GiB.*\nhelp: (.|\n)*"));
  // What waiting does not help is not waited for.
  const Answer never = kiln({"launch", "web", "--queue", "--memory", "64T", "--accel", "tcg"});
  EXPECT_EQ(never.status, 1);
  EXPECT_THAT(never.err, HasSubstr("1 machine of 64.0 TiB needs"));
  EXPECT_THAT(never.err, HasSubstr("instead of --queue"));
  EXPECT_EQ(kiln({"launch", "web", "--queue", "--overcommit"}).status, 2);
  EXPECT_TRUE(ps().empty());
}

TEST_F(Fleets, AQueueStartsEachAsTheOnesBeforeEnd) {
  const std::vector<std::string> words{
      "launch", "web", "--count", "2",  "--name", "q-#", "--queue", "--memory", more_than_half_of_the_memory(),
      "--cpus", "1",   "--accel", "tcg"};
  const auto wait_for = [&](const std::vector<std::string>& states) {
    for (int i = 0; i < 600 && ps("state") != states; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(ps("state"), states);
  };
  const auto queued = kiln.start(words);
  wait_for({"running", "stopped"});
  const Answer room = kiln({"start", "q-2", "--accel", "tcg"});
  EXPECT_EQ(room.status, 1);
  EXPECT_THAT(room.err, HasSubstr("kiln start q-2 --overcommit"));
  // What runs has its room already.
  EXPECT_EQ(ask({"restart", "q-1", "--timeout", "0s", "--accel", "tcg"})["started"], true);
  ask({"rm", "q-1", "--force"});
  EXPECT_EQ(kiln.wait(queued).status, 0);
  EXPECT_THAT(ps("state"), ElementsAre("running"));

  // Two that wait for the same room: the one that another was faster than goes on waiting.
  std::vector<std::string> one = words, two = words;
  one[3] = two[3] = "1";
  one[5] = "one";
  two[5] = "two";
  const auto first = kiln.start(one), second = kiln.start(two);
  wait_for({"stopped", "running", "stopped"});
  ask({"rm", "q-2", "--force"});
  for (int i = 0; i < 600 && ps("state")[0] == ps("state")[1]; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const bool one_was_first = ps("state")[0] == "running";
  EXPECT_EQ(kiln.wait(one_was_first ? first : second).status, 0);
  EXPECT_EQ(ps("state").size(), 2U);
  ask({"rm", one_was_first ? "one" : "two", "--force"});
  const Answer last = kiln.wait(one_was_first ? second : first);
  EXPECT_EQ(last.status, 0) << last.err;
  EXPECT_THAT(ps("state"), ElementsAre("running"));

  const auto stopped = kiln.start(words);  // while that one has the room
  for (int i = 0; i < 600 && ps().size() < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_EQ(::kill(stopped.pid, SIGINT), 0);
  const Answer answer = kiln.wait(stopped);
  EXPECT_EQ(answer.status, 130);
  EXPECT_THAT(answer.err, HasSubstr("made, and stopped: q-1, q-2"));
  EXPECT_EQ(ask({"start", "q-1", "--overcommit", "--accel", "tcg"})["started"], true);
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
  const std::string ports = "ports = [\"" + std::to_string(free_ports(4)) + ":80\"]\n";
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

  // each has a port of its own, also when they come one after the other, and no more than are missing
  fleet(4, ports);
  EXPECT_EQ(apply(), Set({"web-1 there", "web-2 there", "web-3 launched", "web-4 launched"}));
  const auto now = ps("ports");
  EXPECT_EQ(Set(now.begin(), now.end()).size(), 4U);
  ask({"rm", "web-2", "--force"});
  EXPECT_EQ(apply(), Set({"web-1 there", "web-2 launched", "web-3 there", "web-4 there"}));
  EXPECT_EQ(ps("ports"), now);
}

TEST_F(Fleets, WhatTheFileChangesIsOutdated) {
  fleet(1);
  EXPECT_EQ(apply(), Set({"web-1 launched"}));
  const auto with = [&](const std::string& memory, const std::string& more = "") {
    kiln.write("fleet.toml", "[fleet]\nname = \"shop\"\n[[instance]]\nname = \"web-#\"\nimage = \"web\"\nmemory = \"" +
                                 memory + "\"\n" + more);
  };
  with("96M");
  const json answer = ask({"apply", "fleet.toml", "--accel", "tcg"});
  EXPECT_EQ(answer["instances"][0]["what"], "outdated");
  EXPECT_EQ(answer["instances"][0]["why"], "memory is 64.0 MiB, not 96.0 MiB");
  EXPECT_EQ(answer["changed"], false);
  EXPECT_EQ(apply({"--replace"}), Set({"web-1 replaced"}));
  EXPECT_EQ(apply(), Set({"web-1 there"}));
  // It is brought back all the same.
  ask({"stop", "web-1", "--timeout", "0s"});
  with("64M");
  EXPECT_EQ(apply(), Set({"web-1 started"}));
  with("64M", "count = 2\nnetwork = \"tap=t0\"\n");
  EXPECT_THAT(kiln({"apply", "fleet.toml", "--replace"}).err, HasSubstr("leads into one machine, and these are 2"));
  with("64M", "disk_size = \"1M\"\n");
  EXPECT_THAT(kiln({"apply", "fleet.toml", "--replace"}).err, HasSubstr("which is more than 1.0 MiB"));
  EXPECT_THAT(ps("state"), ElementsAre("running"));
}

TEST_F(Fleets, WhatCannotBeReplacedStays) {
  const std::string port = std::to_string(free_ports(1));
  launch({"--name", "mine", "--port", port + ":80"});
  fleet(1);
  EXPECT_EQ(apply(), Set({"web-1 launched"}));
  const auto pids = ps("pid");
  const std::string head = "[fleet]\nname = \"shop\"\n";
  const std::string small = "image = \"web\"\nmemory = \"64M\"\ncpus = 1\n";
  const auto refused = [&](const std::string& web, const std::string& why) {
    kiln.write("fleet.toml", head + "[[instance]]\nname = \"web-#\"\nimage = \"web\"\n" + web);
    EXPECT_THAT(kiln({"apply", "fleet.toml", "--replace", "--accel", "tcg"}).err, HasSubstr(why));
    EXPECT_EQ(ps("pid"), pids);
  };
  refused("ports = [\"" + port + ":80\"]\n", "is used by instance \"mine\"");
  refused("memory = \"64T\"\n", "needs 64.0 TiB of memory");
  refused("connect = \"qemu+unix:///system?socket=/nowhere\"\n", "/nowhere");

  // What was done before it failed is said.
  kiln.write("fleet.toml", head + "[[instance]]\nname = \"db\"\n" + small + "[[instance]]\nname = \"web-#\"\n" + small +
                               "ports = [\"" + port + ":80\"]\n");
  const Answer text = kiln({"apply", "fleet.toml", "--replace", "--accel", "tcg"});
  EXPECT_EQ(text.status, 1);
  EXPECT_THAT(text.out, HasSubstr("launched"));
  EXPECT_THAT(text.err, HasSubstr("is used by instance \"mine\""));
  ask({"rm", "db", "--force"});
  const Answer both = kiln({"apply", "fleet.toml", "--replace", "--accel", "tcg", "--json"});
  EXPECT_THAT(both.out, HasSubstr("\"what\":\"launched\""));
  EXPECT_THAT(both.out, HasSubstr("\"complete\":false"));
  EXPECT_THAT(both.out, HasSubstr("\"error\""));
}

TEST_F(Fleets, WhatIsOnAnotherHostIsNotGivenUp) {
  fleet(2);
  EXPECT_EQ(apply(), Set({"web-1 launched", "web-2 launched"}));
  ask({"stop", "web-2", "--timeout", "0s"});
  const auto move_to = [&](const std::string& host) {
    json record = json::parse(read_text(file_of("web-2", "instance.json")));
    record["driver"] = "libvirt";
    record["connect"] = host;
    write_text(file_of("web-2", "instance.json"), record.dump());
  };
  move_to("qemu+unix:///system?socket=/nowhere");
  publish();
  EXPECT_EQ(apply({"--replace"}), Set({"web-1 replaced", "web-2 unreachable"}));
  fleet(1);
  EXPECT_EQ(apply({"--prune"}), Set({"web-1 there", "web-2 unreachable"}));
  kiln.write("fleet.toml", "[fleet]\nname = \"shop\"\n");
  const json answer = ask({"apply", "fleet.toml", "--prune"});
  EXPECT_EQ(ps().size(), 1U);
  EXPECT_EQ(answer["instances"][1]["what"], "unreachable");
  EXPECT_THAT(answer["instances"][1]["why"].get<std::string>(), HasSubstr("/nowhere"));

  // libvirt's own test driver answers, and knows nothing of it.
  kiln.write("node.xml", "<node><pool type='dir'><name>kiln</name><target><path>" + (kiln / "pool").string() +
                             "</path></target></pool></node>");
  move_to("test://" + (kiln / "node.xml").string());
  fleet(2);
  EXPECT_EQ(apply(), Set({"web-1 launched", "web-2 lost"}));
  EXPECT_EQ(apply({"--replace"}), Set({"web-1 there", "web-2 replaced"}));
  EXPECT_EQ(apply(), Set({"web-1 there", "web-2 there"}));
}

TEST_F(Fleets, TheCatalogHearsOfWhatApplyRemovedAndTheUserOfWhatIsDeprecated) {
  std::filesystem::create_directory(kiln / "second");
  kiln.write("second/config.toml", "catalog_folder = \"" + (kiln.home() / "catalog").string() + "\"\n");
  const auto elsewhere = [&](const std::vector<std::string>& words) {
    const std::string first = std::exchange(kiln.environment["KILN_HOME"], (kiln / "second").string());
    Answer answer = kiln(words);
    kiln.environment["KILN_HOME"] = first;
    return answer;
  };
  EXPECT_EQ(kiln({"import", "tiny.raw", "--name", "old", "--version", "1"}).status, 0);
  ask({"image", "deprecate", "old:1"});
  kiln.write("fleet.toml",
             "[fleet]\nname = \"shop\"\n[[instance]]\nname = \"web-#\"\nimage = \"old:1\"\ncount = 2\n"
             "memory = \"64M\"\n");
  const json answer = ask({"apply", "fleet.toml", "--accel", "tcg"});
  ASSERT_EQ(answer["warnings"].size(), 1U);
  EXPECT_THAT(answer["warnings"][0].get<std::string>(), HasSubstr("is deprecated since"));
  EXPECT_EQ(elsewhere({"image", "rm", "old:1", "--now"}).status, 3);
  kiln.write("fleet.toml", "[fleet]\nname = \"shop\"\n");
  EXPECT_EQ(apply({"--prune"}), Set({"web-1 removed", "web-2 removed"}));
  EXPECT_EQ(elsewhere({"image", "rm", "old:1", "--now"}).status, 0);
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

TEST_F(Fleets, ATimerIsOfOneHomeAndOneAccount) {
  kiln.environment["SYSTEMD_UNIT_PATH"] = (kiln / "units").string() + ":/nowhere";
  launch({"--name", "one", "--stopped"});
  const auto install = [&](const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"backup", "timer", "one", "--install"};
    words.insert(words.end(), more.begin(), more.end());
    return kiln(words);
  };
  const Answer installed = install();
  EXPECT_THAT(installed.out, HasSubstr("systemctl "));
  EXPECT_EQ(installed.out.find("loginctl enable-linger") == std::string::npos, ::geteuid() == 0);
  EXPECT_EQ(install({"--keep", "3"}).status, 0) << "its own it may change";
  const auto unit = kiln / "units/kiln-backup-one.service";
  std::string text = read_text(unit);
  EXPECT_THAT(text, HasSubstr("--keep \"3\""));
  text.replace(text.find("KILN_HOME="), 10, "KILN_HOME=/else");
  write_text(unit, text);
  EXPECT_THAT(install().err, HasSubstr("makes the backups of an instance of another home or account"));
  EXPECT_EQ(read_text(unit), text);
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
  EXPECT_EQ(units["linger"], ::geteuid() == 0 ? json(nullptr) : json("loginctl enable-linger"));
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

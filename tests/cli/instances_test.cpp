// launch, ps, console, stop and rm with a real machine, and an appliance that is interrupted while it starts.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <set>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "cli/with_instances.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Machines : public WithInstances {
 protected:
  Machines() { kiln.raw_disk("disk.raw"); }
};

TEST_F(Machines, TheLifeOfAnInstance) {
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  kiln.write("key.pub",
             "# mine\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me\n");
  const json launched = ask(
      {"launch", "web", "--name", "one", "--memory", "256M", "--cpus", "1", "--ssh-key", "key.pub", "--accel", "tcg"});
  EXPECT_EQ(launched["name"], "one");
  EXPECT_GT(launched["pid"], 1);

  const json listed = ask({"ps"})["instances"];
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0]["state"], "running");
  EXPECT_EQ(listed[0]["image"], "web:1");
  EXPECT_EQ(listed[0]["account"], "local");
  EXPECT_EQ(listed[0]["region"], "local");
  EXPECT_EQ(ask({"ps", "--as", "zed"})["instances"], json::array());
  EXPECT_EQ(kiln({"stop", "one", "--as", "zed"}).status, 2);
  EXPECT_EQ(listed[0]["accelerator"], "tcg");
  EXPECT_EQ(listed[0]["memory"], 256 << 20);
  EXPECT_THAT(kiln({"ps"}).out, HasSubstr("one   running  ok      web:1"));

  const Answer in_use = kiln({"image", "rm", "web"});
  EXPECT_EQ(in_use.status, 3);
  EXPECT_EQ(in_use.err, "error: image web:1 is in use by one\nhelp: remove what uses it first: kiln rm one\n");
  EXPECT_EQ(kiln({"image", "rm", "web", "--now"}).err, in_use.err);
  const Answer running = kiln({"rm", "one"});
  EXPECT_EQ(running.status, 1);
  EXPECT_EQ(running.err, "error: instance \"one\" is running\nhelp: kiln stop one, or remove it with --force\n");
  EXPECT_EQ(kiln({"launch", "web", "--name", "one", "--accel", "tcg"}).status, 1);

  EXPECT_TRUE(ask({"console", "one"}).contains("serial"));
  EXPECT_EQ(kiln({"console", "one"}).status, 0);
  EXPECT_EQ(ask({"stop", "one", "--timeout", "1s"})["stopped"], "by_qemu");  // there is no system to shut down
  EXPECT_EQ(ask({"stop", "one"})["stopped"], "already");
  EXPECT_EQ(kiln({"start", "one", "--as", "zed"}).status, 2);
  EXPECT_EQ(ask({"start", "one", "--accel", "tcg"})["started"], true);
  EXPECT_EQ(ask({"start", "one", "--accel", "tcg"})["started"], false);
  const auto first = ask({"ps"})["instances"][0]["pid"];
  EXPECT_EQ(ask({"restart", "one", "--timeout", "1s", "--accel", "tcg"})["started"], true);
  EXPECT_NE(ask({"ps"})["instances"][0]["pid"], first);
  EXPECT_THAT(kiln({"start", "one"}).out, HasSubstr("one was running already"));
  EXPECT_EQ(ask({"stop", "one", "--timeout", "1s"})["stopped"], "by_qemu");
  EXPECT_EQ(ask({"rm", "one"})["removed"], "one");
  EXPECT_EQ(ask({"image", "rm", "web", "--now"})["removed"], "web:1");
  EXPECT_TRUE(files_below(kiln.home() / "bases", {".lock"}).empty());
}

TEST_F(Machines, OneBaseServesAllLaunchesOfAContent) {
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "copy", "--version", "1"}).status, 0);
  for (const char* image : {"web", "copy"}) {
    ask({"launch", image, "--name", "one", "--memory", "256M", "--accel", "tcg"});
    ask({"rm", "one", "--force"});
  }
  const auto bases = files_below(kiln.home() / "bases", {".lock"});
  ASSERT_EQ(bases.size(), 1U);
  const auto mode = std::filesystem::status(kiln.home() / "bases" / bases[0]).permissions();
  EXPECT_EQ(mode & std::filesystem::perms::owner_write, std::filesystem::perms::none);
  ask({"image", "rm", "web", "--now"});
  EXPECT_EQ(files_below(kiln.home() / "bases", {".lock"}), bases);  // the copy has the same content
  ask({"image", "rm", "copy", "--now"});
  EXPECT_TRUE(files_below(kiln.home() / "bases", {".lock"}).empty());
}

TEST_F(Machines, WhatRunsInOneHomeKeepsItsImageInEveryHomeOfTheCatalog) {
  // The catalog of a first home is a folder that the second one uses as its own.
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  const auto second = kiln / "second";
  std::filesystem::create_directory(second);
  kiln.write("second/config.toml", "catalog_folder = \"" + (kiln.home() / "catalog").string() + "\"\n");
  const auto there = [&](std::vector<std::string> words) {
    const std::string first = std::exchange(kiln.environment["KILN_HOME"], second.string());
    Answer answer = kiln(std::move(words));
    kiln.environment["KILN_HOME"] = first;
    return answer;
  };
  ASSERT_EQ(there({"launch", "web", "--name", "two", "--memory", "256M", "--accel", "tcg"}).status, 0);
  const Answer in_use = kiln({"image", "rm", "web"});
  EXPECT_EQ(in_use.status, 3);
  EXPECT_THAT(in_use.err, testing::MatchesRegex("error: image web:1 is in use by instance two on .+:" +
                                                second.string() + "#[0-9a-f]+\nhelp: remove it there: .*\n"));
  EXPECT_EQ(kiln({"image", "rm", "web", "--now"}).err, in_use.err);
  EXPECT_EQ(kiln({"image", "prune", "web", "--keep", "0", "--json"}).status, 0);
  EXPECT_EQ(kiln({"image", "show", "web"}).status, 0);

  // A home that is lost with its instances is the operator's to forget.
  const std::string where =
      in_use.err.substr(in_use.err.find(" on ") + 4, in_use.err.find('\n') - in_use.err.find(" on ") - 4);
  EXPECT_EQ(kiln({"gc", "--forget-home", where, "--dry-run"}).status, 2);
  EXPECT_EQ(kiln({"gc", "--forget-home", "nowhere:/"}).status, 2);
  EXPECT_EQ(kiln({"gc", "--forget-home", where, "--as", "zed"}).status, 3);
  ASSERT_EQ(kiln({"gc", "--forget-home", where}).status, 0);
  ASSERT_EQ(kiln({"image", "rm", "web"}).status, 0);
  ASSERT_EQ(kiln({"image", "restore", "web:1"}).status, 0);
  // It was not lost: what it has is known again with its next launch, and no longer once it is removed.
  EXPECT_EQ(there({"launch", "web", "--name", "gone", "--port", "1:1", "--accel", "warp"}).status, 2);
  ASSERT_EQ(there({"launch", "web", "--name", "one", "--memory", "256M", "--accel", "tcg"}).status, 0);
  EXPECT_THAT(kiln({"image", "rm", "web"}).err, HasSubstr("is in use by instance one on "));
  EXPECT_THAT(kiln({"image", "rm", "web"}).err, HasSubstr(", instance two on "));
  ASSERT_EQ(there({"rm", "one", "--force"}).status, 0);
  // A removal that was killed before it told the catalog: the next one tells it.
  ASSERT_EQ(there({"stop", "two", "--timeout", "1s"}).status, 0);
  std::filesystem::remove_all(second / "instances/two");
  EXPECT_THAT(kiln({"image", "rm", "web"}).err, HasSubstr("is in use by instance two on "));
  EXPECT_EQ(there({"rm", "two"}).status, 2);
  EXPECT_EQ(kiln({"image", "rm", "web", "--now"}).status, 0);
}

TEST_F(Machines, ALaunchTellsWhatTheImageIs) {
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1", "--as", "alice"}).status, 0);
  ASSERT_EQ(kiln({"share", "add", "web", "--with", "bob", "--as", "alice"}).status, 0);
  ASSERT_EQ(kiln({"share", "accept", "alice/web", "--as", "bob"}).status, 0);
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "2", "--as", "alice"}).status, 0);
  ASSERT_EQ(kiln({"image", "deprecate", "web:1", "--replacement", "web:2", "--as", "alice"}).status, 0);
  const std::vector<std::string> words{"launch", "web:1", "--name", "one",     "--memory",
                                       "256M",   "--as",  "bob",    "--accel", "tcg"};
  const Answer text = kiln(words);
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.err,
              testing::MatchesRegex("warning: image web:1 is deprecated since .*: use alice/web:2 instead\n"));
  EXPECT_THAT(text.out, testing::StartsWith("alice/web:1, made by alice from disk.raw, raw, signed by nobody\n"));

  // The owner can neither take it away from bob's instance, nor remove the base that it stands on.
  ASSERT_EQ(kiln({"share", "cancel", "web:1", "--with", "bob", "--as", "alice"}).status, 0);
  EXPECT_THAT(kiln({"image", "rm", "web:1", "--as", "alice"}).err,
              HasSubstr("image web:1 is in use by an instance of bob\n"));
  const auto bases = files_below(kiln.home() / "bases", {".lock"});
  ASSERT_EQ(kiln({"image", "rm", "web:2", "--as", "alice"}).status, 0);
  EXPECT_EQ(files_below(kiln.home() / "bases", {".lock"}), bases);
  EXPECT_EQ(ask({"ps"})["instances"][0]["state"], "running");
  ask({"rm", "one", "--force"});

  ASSERT_EQ(kiln({"image", "rm", "web:1", "--as", "alice"}).status, 0);
  EXPECT_TRUE(files_below(kiln.home() / "bases", {".lock"}).empty());
  ASSERT_EQ(kiln({"image", "restore", "web:1", "--as", "alice"}).status, 0);
  kiln.write("home/policy.toml", "mode = \"enforce\"\n");
  EXPECT_EQ(kiln({"launch", "alice/web:1", "--name", "one", "--memory", "256M", "--accel", "tcg"}).status, 3);
  EXPECT_TRUE(files_below(kiln.home() / "bases", {".lock"}).empty());
  kiln.write("home/policy.toml", "mode = \"audit\"\n");
  const json again = ask({"launch", "alice/web:1", "--name", "one", "--memory", "256M", "--accel", "tcg"});
  EXPECT_EQ(again["image_owner"], "alice");
  EXPECT_EQ(again["image_signatures"], json::array());
  ASSERT_EQ(again["warnings"].size(), 2U);  // deprecated, and allowed by no rule
  EXPECT_THAT(again["warnings"][1].get<std::string>(), HasSubstr("is allowed by no rule of the launch policy"));
}

// It starts a machine to see whether KVM works.
TEST_F(Machines, TheDoctorSaysHowEachNeedStands) {
  const Answer text = kiln({"doctor"}), machine = kiln({"doctor", "--json"});
  const json answer = json::parse(machine.out);
  EXPECT_EQ(answer["ok"], machine.status == 0);
  std::set<std::string> needs;
  for (const json& finding : answer["findings"]) {
    needs.insert(finding["need"]);
    EXPECT_TRUE(finding["state"] != "fail" || !finding["mend"].get<std::string>().empty()) << finding;
    EXPECT_THAT(text.out, HasSubstr(finding["need"].get<std::string>()));
  }
  for (const char* need : {"qemu-system-x86_64", "qemu-img", "mmdebstrap", "libguestfs", "OVMF", "kiln home", "kvm",
                           "kernel for the appliance", "swtpm", "ssh", "ssh-keygen", "OVMF for Secure Boot", "libvirt"})
    EXPECT_TRUE(needs.contains(need)) << need;
  EXPECT_FALSE(std::filesystem::exists(kiln.home() / "catalog"));
}

TEST_F(Machines, AnInterruptedApplianceIsGone) {
  kiln.write("web.toml", "[[stage]]\nuse = \"import\"\nfile = \"disk.raw\"\n\n[[stage]]\nuse = \"sysprep\"\n");
  const auto running = kiln.start({"build", "web.toml", "--accel", "tcg"});
  for (int i = 0; i < 600 && kiln.processes() < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::this_thread::sleep_for(std::chrono::seconds(2));
  ::kill(running.pid, SIGINT);
  const Answer answer = kiln.wait(running);
  EXPECT_EQ(answer.status, 130) << answer.err;
  EXPECT_TRUE(kiln.processes_end());
  EXPECT_EQ(json::parse(kiln({"cache", "list", "--json"}).out)["layers"].size(), 1U);  // the sealed import stays
}

}  // namespace
}  // namespace kiln::test

// From a machine that runs to an image, to five machines, to a damaged one, and back; and what a restore that is killed
// leaves.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "cli/with_instances.h"
#include "support/run.h"
#include "support/small_guest.h"

namespace kiln::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

class Restore : public WithInstances {
 protected:
  std::filesystem::path disk_of(const std::string& name) const { return file_of(name, "disk.qcow2"); }
  void damage(const std::string& name, const std::string& command) {
    const Outcome done = run({"qemu-io", "-f", "qcow2", "-c", command, disk_of(name)});
    ASSERT_EQ(done.status, 0) << done.output;
  }
  bool has_content(const std::string& name, const std::filesystem::path& raw) const {
    return run({"qemu-img", "compare", "-f", "qcow2", "-F", "raw", disk_of(name), raw}).status == 0;
  }
  /// What a shell in the guest answers; its agent may have to come first.
  std::string in_guest(const std::string& name, const std::string& line) {
    Answer answer;
    for (int i = 0; i < 300; ++i) {
      answer = kiln({"exec", name, "--", "sh", "-c", line});
      if (answer.err.find("error: ") == std::string::npos) break;
      std::this_thread::sleep_for(200ms);
    }
    EXPECT_EQ(answer.status, 0) << line << answer.err << kiln({"logs", name}).out;
    return answer.out;
  }
};

TEST_F(Restore, TheStory) {
  ASSERT_EQ(kiln({"import", small_guest().string(), "--name", "small"}).status, 0);
  ask({"launch", "small", "--name", "first", "--memory", "160M", "--cpus", "1", "--accel", "tcg"});
  in_guest("first", "echo mine >/root/made && sync");
  ASSERT_EQ(kiln({"capture", "first", "--name", "shop", "--require", "quiesced"}).status, 0);
  ask({"rm", "first", "--force"});

  // five of it, each its own
  const json five = ask({"launch", "shop", "--name", "web-#", "--count", "5", "--overcommit", "--accel", "tcg"});
  ASSERT_EQ(five["instances"].size(), 5U);
  std::set<std::string> identities;
  for (int i = 1; i <= 5; ++i) {
    const std::string name = "web-" + std::to_string(i);
    EXPECT_EQ(in_guest(name, "cat /root/made"), "mine\n");
    identities.insert(in_guest(name, "cat /sys/class/dmi/id/product_uuid"));
    identities.insert(in_guest(name, "cat /sys/class/net/eth0/address"));
    identities.insert(read_text(kiln.home() / "instances" / name / "seed.iso", 1 << 20));
  }
  EXPECT_EQ(identities.size(), 15U);
  for (const char* name : {"web-1", "web-2", "web-4", "web-5"}) ask({"rm", name, "--force"});

  // three backups, of which two stay, and the newest boots
  for (int i = 1; i <= 3; ++i) {
    in_guest("web-3", "echo " + std::to_string(i) + " >/root/round && sync");
    const json made = ask({"backup", "web-3", "--keep", "2", "--accel", "tcg"});
    EXPECT_EQ(made["consistency"], "quiesced");
    EXPECT_EQ(made["trashed"].size(), i == 3 ? 1U : 0U) << made;
  }
  EXPECT_EQ(ask({"image", "list", "web-3-backup"})["images"].size(), 2U);
  const Answer verified = kiln({"backup", "verify", "web-3", "--accel", "tcg"});
  EXPECT_EQ(verified.status, 0) << verified.err;
  EXPECT_THAT(verified.out, HasSubstr(" boots, in "));

  // damaged: it does not boot
  in_guest("web-3", "rm -rf /etc; sync");
  ask({"stop", "web-3", "--timeout", "0s"});
  damage("web-3", "write -P 0 0 512");
  const auto booted = std::filesystem::file_size(file_of("web-3", "serial.log"));
  ask({"start", "web-3", "--accel", "tcg"});
  const auto said = [&] { return read_text(file_of("web-3", "serial.log")).substr(booted); };
  for (int i = 0; i < 600 && said().find("No bootable device") == std::string::npos; ++i)
    std::this_thread::sleep_for(100ms);
  EXPECT_THAT(said(), HasSubstr("No bootable device"));

  // and back
  const Answer running = kiln({"restore", "web-3", "--accel", "tcg"});
  EXPECT_EQ(running.status, 1);
  EXPECT_THAT(running.err, HasSubstr("instance \"web-3\" is running"));
  const json restored = ask({"restore", "web-3", "--force", "--accel", "tcg"});
  EXPECT_GT(restored["written_bytes"], 0);
  EXPECT_LT(restored["written_bytes"], 16 << 20) << "of 128 MiB";
  EXPECT_THAT(restored["damaged"].get<std::string>(), testing::StartsWith("web-3-damaged:"));
  ASSERT_EQ(kiln({"image", "export", restored["restored"], "wanted.raw"}).status, 0);
  EXPECT_TRUE(has_content("web-3", kiln / "wanted.raw"));
  ASSERT_EQ(kiln({"image", "export", restored["damaged"], "damaged.raw"}).status, 0);
  EXPECT_EQ(read_text(kiln / "damaged.raw", 1 << 30).substr(0, 512), std::string(512, '\0'));
  ask({"start", "web-3", "--accel", "tcg"});
  EXPECT_EQ(in_guest("web-3", "cat /root/round"), "3\n");
  EXPECT_THAT(in_guest("web-3", "cat /etc/os-release"), HasSubstr("kiln small guest"));

  // or as another one
  ask({"restore", "web-3", "--as", "again", "--accel", "tcg"});
  EXPECT_EQ(in_guest("again", "cat /root/round"), "3\n");
  EXPECT_EQ(in_guest("web-3", "true"), "");
}

TEST_F(Restore, WhatCannotBeDoneIsSaid) {
  kiln.raw_disk("disk.raw");
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  ask({"launch", "web", "--name", "one", "--stopped", "--accel", "tcg"});
  EXPECT_THAT(kiln({"restore", "one"}).err, HasSubstr("instance \"one\" has no backup"));
  EXPECT_THAT(kiln({"backup", "verify", "one"}).err, HasSubstr("instance \"one\" has no backup"));
  EXPECT_EQ(kiln({"restore", "two"}).status, 2);
  EXPECT_EQ(kiln({"backup", "two"}).status, 2);
  EXPECT_EQ(kiln({"backup", "one", "--keep", "some"}).status, 2);
  EXPECT_EQ(kiln({"restore", "one", "--to", "web:1", "--as", "two", "--discard"}).status, 2);
  const json made = ask({"backup", "one"});
  EXPECT_EQ(made["consistency"], "stopped");
  EXPECT_THAT(kiln({"backup", "verify", "one"}).err, HasSubstr("nothing tells when"));
  EXPECT_THAT(kiln({"restore", "one", "--to", "7"}).err, HasSubstr("instance \"one\" has no backup \"7\""));

  damage("one", "write -P 7 1M 64k");
  const json restored = ask({"restore", "one", "--discard", "--to", made["backup"]});
  EXPECT_EQ(restored["written_bytes"], 64 << 10);
  EXPECT_EQ(restored["damaged"], nullptr);
  EXPECT_EQ(kiln({"image", "show", "one-damaged"}).status, 2);
  EXPECT_TRUE(has_content("one", kiln / "disk.raw"));
  EXPECT_EQ(ask({"restore", "one", "--discard"})["written_bytes"], 0);

  // any image is one to go back to, as long as it fits
  kiln.raw_disk("other.raw", 4, 2);
  kiln.raw_disk("large.raw", 8, 3);
  for (const char* name : {"other", "large"})
    ASSERT_EQ(kiln({"import", name + std::string(".raw"), "--name", name, "--version", "1"}).status, 0);
  ask({"restore", "one", "--to", "other:1"});
  EXPECT_TRUE(has_content("one", kiln / "other.raw"));
  const Answer large = kiln({"restore", "one", "--to", "large:1"});
  EXPECT_EQ(large.status, 1);
  EXPECT_THAT(large.err, HasSubstr("large:1 has 8.0 MiB, and the disk of instance \"one\" only 4.0 MiB"));
  EXPECT_TRUE(has_content("one", kiln / "other.raw"));
  ask({"restore", "one"});
  EXPECT_TRUE(has_content("one", kiln / "disk.raw"));
}

TEST_F(Restore, OfTwoAtOnceOneIsDoneAndTheOtherSaysSo) {
  kiln.raw_disk("disk.raw", 192);
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  ask({"launch", "web", "--name", "one", "--stopped", "--accel", "tcg"});
  ask({"backup", "one"});
  damage("one", "write -P 1 0 192M");
  const auto first = kiln.start({"restore", "one", "--discard"}), second = kiln.start({"restore", "one", "--discard"});
  const Answer answers[] = {kiln.wait(first), kiln.wait(second)};
  const auto ended = std::ranges::count(answers, 0, &Answer::status);
  EXPECT_GE(ended, 1);
  for (const Answer& answer : answers)
    if (answer.status != 0) {
      EXPECT_THAT(answer.err, HasSubstr("another kiln restores \"one\" right now"));
    }
  EXPECT_TRUE(has_content("one", kiln / "disk.raw"));
  EXPECT_EQ(ask({"start", "one", "--accel", "tcg"})["started"], true);
}

TEST_F(Restore, KilledAtAnyMomentItIsMendedByDoingItAgain) {
  kiln.raw_disk("disk.raw", 192);
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  ask({"launch", "web", "--name", "one", "--stopped", "--accel", "tcg"});
  const std::string backup = ask({"backup", "one"})["backup"];
  int cut_off = 0;
  for (int round = 0; round < 12 && cut_off < 3; ++round) {
    damage("one", "write -P " + std::to_string(round + 1) + " 0 192M");
    const auto restoring = kiln.start({"restore", "one", "--discard"});
    // The first rounds anywhere, the others once the disk is being written.
    const auto socket = kiln.home() / "instances/one/disk-nbd.sock";
    for (int i = 0; i < (round < 3 ? 100 * round : 10000) && !std::filesystem::exists(socket); ++i)
      std::this_thread::sleep_for(2ms);
    if (round >= 3) std::this_thread::sleep_for(std::chrono::milliseconds(10 * round));
    ::kill(restoring.pid, SIGKILL);
    kiln.wait(restoring);
    EXPECT_TRUE(kiln.processes_end());
    const bool is_marked = !json::parse(read_text(kiln.home() / "instances/one/instance.json"))["restoring"].empty() &&
                           json::parse(read_text(kiln.home() / "instances/one/instance.json"))["restoring"] != "";
    if (is_marked) {
      ++cut_off;
      const Answer refused = kiln({"start", "one", "--accel", "tcg"});
      EXPECT_EQ(refused.status, 1);
      EXPECT_EQ(refused.err,
                "error: the disk of instance \"one\" is half restored: kiln was stopped meanwhile\n"
                "help: end it: kiln restore one --to " +
                    backup + "\n");
      EXPECT_EQ(kiln({"restore", "one", "--discard", "--to", backup}).status, 0);
    }
    EXPECT_EQ(has_content("one", kiln / "disk.raw"), is_marked || round >= 3) << round;
  }
  EXPECT_EQ(cut_off, 3);
  ask({"restore", "one", "--discard"});
  EXPECT_EQ(ask({"start", "one", "--accel", "tcg"})["started"], true);
}

}  // namespace
}  // namespace kiln::test

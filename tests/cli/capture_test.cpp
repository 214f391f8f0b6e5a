// kiln capture with a real machine: while it runs, with an agent and without, and when it is shut off.
#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include <kiln/file.h>

#include <nlohmann/json.hpp>

#include "cli/with_instances.h"
#include "support/small_guest.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class CaptureVerb : public WithInstances {
 protected:
  json facts_of(const std::string& image) { return ask({"image", "show", image})["facts"]; }
  void launch(const std::string& image, const std::string& name) {
    const Answer launched =
        kiln({"launch", image, "--name", name, "--memory", "192M", "--cpus", "1", "--accel", "tcg"});
    ASSERT_EQ(launched.status, 0) << launched.err;
  }
};

TEST_F(CaptureVerb, OfAMachineWithoutAnAgent) {
  kiln.raw_disk("disk.raw");
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  launch("web", "one");
  const Answer captured = kiln({"capture", "one", "--name", "copy:1", "--channel", "stable"});
  ASSERT_EQ(captured.status, 0) << captured.err;
  EXPECT_THAT(captured.out, HasSubstr("copy:1  crash-consistent; 4.0 MiB, 0 B stored  sha256:"));
  EXPECT_THAT(captured.err, HasSubstr("no guest agent answers"));
  const json first = facts_of("copy:stable");
  EXPECT_EQ(first["capture.consistency"], "crash-consistent");
  EXPECT_EQ(first["capture.instance"], "one");
  EXPECT_EQ(first["capture.read"], "all");
  EXPECT_EQ(first["machine.cpus"], "1");
  EXPECT_EQ(first["machine.memory"], std::to_string(192u << 20));
  EXPECT_EQ(first["machine.disk_bus"], "virtio");
  EXPECT_EQ(first["machine.nic"], "virtio");
  EXPECT_EQ(first["boot.firmware"], "bios");
  EXPECT_EQ(first["parent"], ask({"image", "show", "web"})["id"]);

  ASSERT_EQ(kiln({"capture", "one", "--name", "copy:2"}).status, 0);
  EXPECT_EQ(facts_of("copy:2")["capture.read"], "changes");
  EXPECT_EQ(ask({"image", "show", "copy:2"})["content"], ask({"image", "show", "web"})["content"]);

  const Answer refused = kiln({"capture", "one", "--name", "copy:3", "--require", "quiesced"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_THAT(refused.err, HasSubstr("one cannot be captured quiesced"));
  EXPECT_EQ(kiln({"image", "show", "copy:3"}).status, 2);

  const Answer other = kiln({"capture", "--qmp", (kiln.home() / "instances/one/capture.sock").string(), "--name", "q"});
  EXPECT_EQ(other.status, 0) << other.err;
  ASSERT_EQ(kiln({"stop", "one", "--timeout", "1s"}).status, 0);
  ASSERT_EQ(kiln({"capture", "one", "--name", "copy:4", "--require", "stopped"}).status, 0);
  EXPECT_EQ(facts_of("copy:4")["capture.consistency"], "stopped");
  EXPECT_EQ(ask({"image", "show", "copy:4"})["content"], ask({"image", "show", "web"})["content"]);
  EXPECT_EQ(kiln({"start", "one"}).status, 0) << "nothing keeps its disk";
}

TEST_F(CaptureVerb, SaysWhatIsMissing) {
  EXPECT_THAT(kiln({"capture", "one"}).err, HasSubstr("--name is missing"));
  EXPECT_THAT(kiln({"capture", "--name", "x"}).err,
              HasSubstr("takes an instance, a domain of libvirt's, or the QMP socket"));
  EXPECT_EQ(kiln({"capture", "one", "--qmp", "q", "--name", "x"}).status, 2);
  EXPECT_THAT(kiln({"capture", "one", "--name", "x"}).err, HasSubstr("there is no instance \"one\""));
  EXPECT_THAT(kiln({"capture", "--qmp", "none.sock", "--name", "x"}).err, HasSubstr("there is no socket"));
  EXPECT_EQ(kiln({"capture", "one", "--name", "x", "--require", "perfect"}).status, 2);
  EXPECT_EQ(kiln({"capture", "one", "--name", "x", "--freeze-limit", "1h"}).status, 2);
}

TEST_F(CaptureVerb, OfAGuestThatIsQuiescedAndMadeGeneral) {
  ASSERT_EQ(kiln({"import", small_guest().string(), "--name", "small"}).status, 0);
  launch("small", "one");
  Answer captured;
  for (int i = 0; i < 600; ++i) {  // until the agent answers
    captured = kiln({"capture", "one", "--name", "general", "--require", "quiesced", "--generalize", "--accel", "tcg"});
    if (captured.status != 3) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  ASSERT_EQ(captured.status, 0) << captured.err;
  const json facts = facts_of("general");
  EXPECT_EQ(facts["capture.consistency"], "quiesced");
  EXPECT_EQ(facts["capture.hooks"], "passed");
  EXPECT_EQ(ask({"ps"})["instances"][0]["state"], "running");
  launch("general", "two");
  const auto log = kiln.home() / "instances/two/serial.log";
  for (int i = 0; i < 3000; ++i) {
    if (std::filesystem::exists(log) && read_text(log).find(small_guest_ready) != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ADD_FAILURE() << "what was captured does not boot: " << read_text(log);
}

}  // namespace
}  // namespace kiln::test

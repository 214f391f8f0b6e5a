#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>

#include <kiln/file.h>

#include "machine/accelerator.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

TEST(Probe, ThePayloadReachesLongModeUnderTcg) {
  const ProbeResult result = run_probe("tcg", 60s);
  EXPECT_TRUE(result.works) << result.reason;
  EXPECT_EQ(result.reached, "RPLW");
}

TEST(Probe, AnAcceleratorThatQemuDoesNotHaveIsAReason) {
  const ProbeResult result = run_probe("hax", 60s);
  EXPECT_FALSE(result.works);
  EXPECT_THAT(result.reason, testing::HasSubstr("qemu exited with status 1: "));
}

TEST(Probe, TimeRunningOutIsAReason) {
  const auto start = std::chrono::steady_clock::now();
  const ProbeResult result = run_probe("tcg", 1ms);
  EXPECT_FALSE(result.works);
  EXPECT_EQ(result.reason, "a guest did not reach long mode in 0.0 s");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST(Probe, ItsAnswerIsKeptAndAnotherBootOfTheHostAsksAgain) {
  test::TempDir home;
  std::filesystem::create_directories(home / "host");
  const auto file = home / "host/accel.json";
  write_text(file, R"({"boot_id": "of another boot", "kvm": true, "reason": "stale"})");
  const Accelerator found = probe_accelerator(home.path());
  EXPECT_NE(found.reason, "stale");
  const bool device = ::access("/dev/kvm", R_OK | W_OK) == 0;  // without it nothing is probed, and nothing kept
  EXPECT_EQ(read_text(file).find("another boot") == std::string::npos, device);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(probe_accelerator(home.path()), found);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 500ms);
}

}  // namespace
}  // namespace kiln

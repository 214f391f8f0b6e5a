#include "machine/accelerator.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include <kiln/file.h>

#include "machine/probe_payload.h"
#include "support/temp.h"

namespace kiln {
namespace {

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

TEST(Accelerator, IsTakenAsAskedFor) {
  test::TempDir home;
  EXPECT_EQ(choose_accelerator("tcg", home.path()).name, "tcg");
  EXPECT_EQ(choose_accelerator("kvm", home.path()).name, "kvm");
  EXPECT_TRUE(std::filesystem::is_empty(home.path()));
}

TEST(Accelerator, AnUnknownOneIsRefusedWithTheNearest) {
  test::TempDir home;
  try {
    choose_accelerator("kvn", home.path());
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "unknown accelerator \"kvn\"");
    EXPECT_EQ(e.hint(), "did you mean \"kvm\"?");
    EXPECT_EQ(e.failure(), Failure::invalid);
  }
}

TEST(Accelerator, IsRememberedForThisBootOfTheHost) {
  test::TempDir home;
  std::filesystem::create_directories(home / "host");
  write_text(home / "host/accel.json",
             "{\"boot_id\": \"" + boot_id() + "\", \"kvm\": false, \"reason\": \"as remembered\"}");
  // Without the device there is nothing to remember: the answer is at hand.
  const bool device = ::access("/dev/kvm", R_OK | W_OK) == 0;
  EXPECT_EQ(probe_accelerator(home.path()).reason == "as remembered", device);
}

TEST(ProbePayload, IsABootSector) {
  constexpr auto sector = probe_sector();
  EXPECT_EQ(sector[510], 0x55);
  EXPECT_EQ(sector[511], 0xaa);
}

}  // namespace
}  // namespace kiln

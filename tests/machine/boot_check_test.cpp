#include "machine/boot_check.h"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include <kiln/file.h>

#include "process/process.h"
#include "support/disk_size.h"
#include "support/temp.h"
#include "support/tiny_image.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
const Accelerator tcg{"tcg", ""};

BootSpec spec_for(const test::TempDir& dir, const std::filesystem::path& disk) {
  BootSpec spec;
  spec.disk = disk;
  spec.disk_size = test::disk_size(disk);
  spec.folder = dir.path();
  spec.memory = Bytes{128u << 20};
  spec.cpus = 1;
  spec.expect = "KILN-BOOT-OK";
  spec.timeout = 120s;
  return spec;
}

/// No QEMU works in the folder any more: its image lock on the overlay is free.
void expect_no_qemu(const test::TempDir& dir) {
  EXPECT_TRUE(run({"qemu-img", {"check", "-q", (dir / "disk.qcow2").string()}}).exit.ok());
}

TEST(BootCheck, ADiskThatBootsWithBios) {
  test::TempDir dir;
  const BootReport report = boot_check(spec_for(dir, test::tiny_image("stay")), tcg, {});
  EXPECT_EQ(report.matched, "KILN-BOOT-OK");
  EXPECT_EQ(report.accelerator, "tcg");
  EXPECT_GT(report.elapsed, 0ms);
  expect_no_qemu(dir);
}

TEST(BootCheck, ADiskThatBootsWithUefiAndPowersOff) {
  test::TempDir dir;
  BootSpec spec = spec_for(dir, test::tiny_image("halt"));
  spec.firmware = Firmware::uefi;
  EXPECT_EQ(boot_check(spec, tcg, {}).matched, "KILN-BOOT-OK");
}

TEST(BootCheck, ADiskWithoutABootLoaderEndsBeforeItsTime) {
  test::TempDir dir;
  File::create(dir / "empty.raw").truncate(8 << 20);
  BootSpec spec = spec_for(dir, dir / "empty.raw");
  spec.format = "raw";
  const auto start = std::chrono::steady_clock::now();
  try {
    boot_check(spec, tcg, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("the BIOS found nothing to boot ("));
    EXPECT_EQ(e.hint(), "if the disk boots with UEFI, use firmware = \"uefi\"");
    EXPECT_THAT(e.evidence(), Contains("No bootable device."));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 60s);
}

TEST(BootCheck, TimeRunsOutOnADiskThatNeverSaysIt) {
  test::TempDir dir;
  BootSpec spec = spec_for(dir, test::tiny_image("stay"));
  spec.expect = "login:";
  spec.timeout = 8s;
  try {
    boot_check(spec, tcg, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "\"login:\" was not seen within 8.0 s");
    ASSERT_FALSE(e.evidence().empty());
    EXPECT_THAT(e.evidence().front(), HasSubstr(" serial lines:"));
  }
  expect_no_qemu(dir);
}

TEST(BootCheck, AMachineThatPowersOffTooEarlyIsToldAtOnce) {
  test::TempDir dir;
  BootSpec spec = spec_for(dir, test::tiny_image("halt"));
  spec.expect = "login:";
  try {
    boot_check(spec, tcg, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("the machine shut itself down "));
    EXPECT_THAT(e.what(), HasSubstr(" after start, before \"login:\" was seen"));
    EXPECT_THAT(e.evidence(), Contains("KILN-BOOT-OK"));
  }
}

TEST(BootCheck, QemuThatDiesIsToldAtOnceWithTheLastLines) {
  test::TempDir dir;
  BootSpec spec = spec_for(dir, test::tiny_image("stay"));
  spec.expect = "login:";
  const std::jthread killer([&] {
    while (!std::filesystem::exists(dir / "serial.log") ||
           read_text(dir / "serial.log").find("KILN-BOOT-OK") == std::string::npos)
      std::this_thread::sleep_for(20ms);
    run({"sh",
         {"-c", "for p in /proc/[0-9]*; do [ \"$(readlink $p/cwd)\" = '" + dir.path().string() +
                    "' ] && kill -ABRT ${p#/proc/}; done; true"}});
  });
  try {
    boot_check(spec, tcg, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("qemu was killed by signal 6 (Aborted) "));
    EXPECT_THAT(e.evidence(), Contains("KILN-BOOT-OK"));
  }
}

TEST(BootCheck, QemuThatDoesNotStartSaysWhy) {
  test::TempDir dir;
  BootSpec spec = spec_for(dir, test::tiny_image("halt"));
  spec.cpus = 100'000;
  try {
    boot_check(spec, tcg, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("qemu exited with status 1 "));
    EXPECT_THAT(e.evidence(), Contains(HasSubstr("CPUs")));
  }
}

TEST(BootCheck, StopEndsIt) {
  test::TempDir dir;
  BootSpec spec = spec_for(dir, test::tiny_image("stay"));
  spec.expect = "login:";
  std::stop_source stop;
  int told = 0;
  try {
    boot_check(spec, tcg, stop.get_token(), [&](Duration, const std::string&) {
      if (++told == 2) stop.request_stop();
    });
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::cancelled);
  }
  expect_no_qemu(dir);
}

TEST(BootCheck, NothingToWaitForIsInvalid) {
  test::TempDir dir;
  BootSpec spec = spec_for(dir, "/nowhere");
  spec.expect.clear();
  EXPECT_THROW(boot_check(spec, tcg, {}), Error);
}

}  // namespace
}  // namespace kiln

#include "machine/overlay.h"

#include <gmock/gmock.h>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "process/process.h"
#include "support/temp.h"

namespace kiln {
namespace {

using nlohmann::json;
constexpr std::uint64_t GiB = 1u << 30;

class Overlay : public testing::TestWithParam<std::uint64_t> {
 protected:
  json ask(const std::vector<std::string>& words) { return json::parse(run_checked({"qemu-img", words})); }
  test::TempDir dir_;
};

TEST_P(Overlay, IsSoundAndLiesOnItsBase) {
  const std::uint64_t size = GetParam();
  File::create(dir_ / "base.raw").truncate(size);
  const std::string file = dir_ / "disk.qcow2";
  write_overlay(file, size, {dir_ / "base.raw", "raw"});
  const json info = ask({"info", "--output=json", "-f", "qcow2", file});
  EXPECT_EQ(info["virtual-size"], size);
  EXPECT_EQ(info["backing-filename"], (dir_ / "base.raw").string());
  EXPECT_EQ(info["backing-filename-format"], "raw");
  EXPECT_LT(info["actual-size"], 32 << 10);
  EXPECT_EQ(ask({"check", "--output=json", "-f", "qcow2", file})["check-errors"], 0);
  // What the guest writes is there, at both ends, and the file is sound afterwards; the base is as it was.
  run_checked(
      {"qemu-io",
       {"-f", "qcow2", "-c", "write -P 7 0 64k", "-c", "write -P 8 " + std::to_string(size - 512) + " 512", file}});
  run_checked({"qemu-io",
               {"-f", "qcow2", "-c", "read -P 7 0 64k", "-c", "read -P 0 64k 64k", "-c",
                "read -P 8 " + std::to_string(size - 512) + " 512", file}});
  const json check = ask({"check", "--output=json", "-f", "qcow2", file});
  EXPECT_EQ(check["check-errors"], 0);
  EXPECT_FALSE(check.contains("corruptions"));
  EXPECT_FALSE(check.contains("leaks"));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Overlay,
                         testing::Values(GiB / 1024, GiB / 2, GiB / 2 + 512, 8 * GiB, 4096 * GiB, 5000 * GiB));

TEST(OverlayLimits, WhatCannotBeWrittenIsSaidAndNothingIsMade) {
  test::TempDir dir;
  const std::filesystem::path file = dir / "disk.qcow2";
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{513}, std::uint64_t{1} << 63})
    EXPECT_THROW(write_overlay(file, size, {"base", "raw"}), Error) << size;
  EXPECT_THROW(write_overlay(file, 512, {std::string(1100, 'x'), "raw"}), Error);
  EXPECT_FALSE(std::filesystem::exists(file));
  write_text(file, "there");
  EXPECT_THROW(write_overlay(file, 512, {"base", "raw"}), Error);
  EXPECT_EQ(read_text(file), "there");
}

}  // namespace
}  // namespace kiln

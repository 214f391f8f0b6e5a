// The guest of a disk is held to a profile, from the command line. Each verdict takes an appliance of its own.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include <kiln/file.h>

#include "cli/program.h"
#include "guest/tiny_guest.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// /etc/fstab of an image.
std::string fstab_of(const Program& kiln, const std::string& image) {
  const Answer answer = kiln({"image", "export", image, "out.qcow2"});
  EXPECT_EQ(answer.status, 0) << answer.err;
  return debugfs(kiln / "out.qcow2", "cat /etc/fstab");
}

TEST(Preflight, AsksOfADiskWhatItsProfileDoes) {
  Program kiln;
  make_tiny_root(kiln / "root");
  write_text(kiln / "root/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\nnas:/x /mnt nfs defaults 0 0\n");
  make_tiny_disk(kiln / "disk.qcow2", kiln / "root", 48u << 20);
  kiln.write("house.toml", "[guest]\nrequired = [\"FstabUnstableName\"]\n");

  const Answer told = kiln({"inspect", "disk.qcow2", "--profile", "./house.toml", "--json"});
  EXPECT_EQ(told.status, 2) << told.err;
  const json answer = json::parse(told.out);
  EXPECT_EQ(answer["format"], "qcow2");
  std::vector<std::string> codes;
  for (const json& finding : answer["findings"]) {
    codes.push_back(finding["code"].get<std::string>() + ' ' + finding["severity"].get<std::string>());
    EXPECT_NE(finding["meaning"], "") << finding;
    EXPECT_NE(finding["help"], "") << finding;
    EXPECT_FALSE(finding["evidence"].empty()) << finding;
  }
  EXPECT_THAT(codes, ElementsAre("BootLoaderMissing warning", "FstabForeignMount warning", "FstabUnstableName error",
                                 "BootLoaderMissing warning", "CloudInitNotInstalled warning"));
  EXPECT_EQ(answer["findings"][2]["mendable"], true);

  const Answer forced =
      kiln({"import", "disk.qcow2", "--name", "web", "--profile", "./house.toml", "--fix", "--force"});
  EXPECT_EQ(forced.status, 0) << forced.err;
  const json image = json::parse(kiln({"image", "show", "web", "--json"}).out);
  EXPECT_EQ(image["facts"]["preflight.profile"], "house");
  EXPECT_THAT(image["facts"]["preflight.findings"].get<std::string>(), HasSubstr("FstabForeignMount"));
  EXPECT_THAT(fstab_of(kiln, "web"), HasSubstr("UUID="));
  EXPECT_TRUE(kiln.processes_end());
}

}  // namespace
}  // namespace kiln::test

#include <gmock/gmock.h>

#include "preflight_run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Profile : public testing::Test, protected PreflightRun {
 protected:
  std::vector<std::string> problems(const std::string& name) {
    return problems_of(load_stage("preflight"), {{"profile", text(name)}});
  }
  std::vector<std::string> problems_in(const std::string& toml) { return problems(profile("mine", toml)); }
  std::string mine(const std::string& toml) { return refusal({{"profile", text(profile("mine", toml))}}); }
};

TEST_F(Profile, IsKnownByItsName) {
  for (const char* name : {"none", "tencent", "aws", "glance"}) EXPECT_THAT(problems(name), ElementsAre()) << name;
  EXPECT_THAT(problems("tencnt"), ElementsAre("profile: there is no profile \"tencnt\""));
  EXPECT_THAT(problems("../none"), ElementsAre("profile: there is no profile ../none"));
  EXPECT_THAT(problems(""), ElementsAre("profile: there is no profile \"\""));
  fakes::FakeCheck check(ctx.fake_formats);
  load_stage("preflight").check_with({{"profile", text("tencnt")}}, check);
  EXPECT_EQ(check.problems.at(0).hint, "did you mean \"tencent\"? there are aws, glance, none, tencent");
}

TEST_F(Profile, MayBeTheUsersOwn) {
  ::setenv("XDG_DATA_HOME", dir.path().c_str(), 1);
  std::filesystem::create_directories(dir / "kiln/profiles");
  write_text(dir / "kiln/profiles/house.toml", "[guest]\nrequired = [\"VendorGuestTools\"]\n");
  EXPECT_THAT(problems("house"), ElementsAre());
  EXPECT_THAT(problems("tencent"), ElementsAre());
  ::unsetenv("XDG_DATA_HOME");
  EXPECT_THAT(problems("house"), ElementsAre("profile: there is no profile \"house\""));
}

TEST_F(Profile, IsRefusedWhenItIsWrong) {
  const std::string file = (dir / "mine.toml").string();
  EXPECT_THAT(problems_in("[limit]\n"), ElementsAre("profile: " + file + ":1: a profile has no key \"limit\""));
  EXPECT_THAT(problems_in("[limits]\n\nfile_sizes = \"5G\"\n"),
              ElementsAre("profile: " + file + ":3: a profile has no key \"limits.file_sizes\""));
  EXPECT_THAT(problems_in("[limits]\nfile_size = \"much\"\n"),
              ElementsAre("profile: " + file + ":2: \"limits.file_size\" takes a size such as \"50G\""));
  EXPECT_THAT(problems_in("[limits]\nfile_size = -1\n"), ElementsAre(HasSubstr("takes a size")));
  EXPECT_THAT(problems_in("[limits]\ndisks = 0\n"), ElementsAre(HasSubstr("takes a number of 1 or more")));
  EXPECT_THAT(problems_in("[limits]\nformats = \"raw\"\n"), ElementsAre(HasSubstr("takes a list of texts")));
  EXPECT_THAT(problems_in("limits = 5\n"), ElementsAre(HasSubstr("\"limits\" is a table")));
  EXPECT_THAT(problems_in("[guest]\nrequired = [\"VirtioNotInstalled\"]\n"),
              ElementsAre("profile: " + file + ":2: no check finds \"VirtioNotInstalled\""));
  EXPECT_THAT(problems_in("[guest\n"), ElementsAre(StartsWith("profile: " + file + ":1: ")));
}

TEST_F(Profile, LimitsTheDisk) {
  ctx.known_facts = {{"source.size", "6442450944"}, {"source.format", "vmdk"}, {"boot.firmware", "bios"}};
  EXPECT_EQ(mine("[limits]\nvirtual_size = \"8G\"\nfile_size = \"6G\"\nfirmware = [\"uefi\", \"bios\"]\n"), "");
  EXPECT_EQ(mine("[limits]\nvirtual_size = \"7G\"\nfile_size = \"5G\"\nfirmware = [\"uefi\"]\nformats = [\"raw\"]\n"),
            "the disk does not meet profile \"mine\": DiskTooLarge, InvalidFormatSize, UnsupportedFeature\n"
            "DiskTooLarge: the disk is larger than mine takes\n"
            "InvalidFormatSize: the file is larger than mine takes\n"
            "UnsupportedFeature: the disk starts with a firmware that mine has not");
  EXPECT_THAT(told(), ElementsAre("DiskTooLarge error", "InvalidFormatSize error", "UnsupportedFeature error",
                                  "InvalidFormatSize note"));
  EXPECT_THAT(finding("DiskTooLarge").evidence,
              ElementsAre("virtual size: 8589934592 bytes (8.0 GiB)", "limit: 7516192768 bytes (7.0 GiB)"));
  ctx.known_facts["source.format"] = "raw";
  EXPECT_EQ(mine("[limits]\nfile_size = \"5G\"\n"), "") << "a raw file is larger than what it holds";
  EXPECT_THAT(told(), ElementsAre("InvalidFormatSize warning"));
  ctx.known_parts.push_back({"data", "disk1", nullptr});
  EXPECT_THAT(mine("[limits]\ndisks = 1\n"), HasSubstr("DiskTooLarge: the machine has more disks than mine takes"));
}

TEST_F(Profile, OfTencent) {
  EXPECT_EQ(refusal({{"profile", text("tencent")}}), "");
  ctx.size = 501ull << 30;
  guest().files.erase("/usr/bin/cloud-init");
  EXPECT_THAT(refusal({{"profile", text("tencent")}}),
              StartsWith("the disk does not meet profile \"tencent\": DiskTooLarge, CloudInitNotInstalled\n"));
  EXPECT_EQ(code, "DiskTooLarge");
  EXPECT_EQ(refusal({{"profile", text("tencent")}, {"force", Value{true}}}), "");
  EXPECT_THAT(told(), ElementsAre("DiskTooLarge error", "CloudInitNotInstalled error"));
  EXPECT_EQ(ctx.known_facts["preflight.findings"], "DiskTooLarge, CloudInitNotInstalled");
}

TEST_F(Profile, MayForbidWhatNoForceAllows) {
  const std::string strict =
      profile("mine", "[guest]\nsecurity = [\"SecretsFound\"]\nrequired = [\"VendorGuestTools\"]\n");
  file("/root/.netrc") = "machine x password y";
  file("/usr/bin/vmtoolsd") = "program";
  EXPECT_THAT(refusal({{"profile", text(strict)}, {"force", Value{true}}}),
              StartsWith("the disk does not meet profile \"mine\": SecretsFound\n"));
  EXPECT_EQ(code, "SecretsFound");
  EXPECT_THAT(told(), ElementsAre("VendorGuestTools error", "SecretsFound security"));
  guest().files.erase("/root/.netrc");
  EXPECT_EQ(refusal({{"profile", text(strict)}, {"force", Value{true}}}), "");
}

TEST_F(Profile, IsPartOfWhatWasDone) {
  const Stage& stage = load_stage("preflight");
  const Table params{{"profile", text(profile("mine", "summary = \"a\"\n"))}};
  const std::string before = stage.fingerprint_with(params);
  profile("mine", "summary = \"b\"\n");
  EXPECT_NE(stage.fingerprint_with(params), before);
}

}  // namespace
}  // namespace kiln::test

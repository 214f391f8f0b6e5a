#include "machine/seed.h"

#include <gmock/gmock.h>

#include <kiln/file.h>

#include <nlohmann/json.hpp>

#include "process/process.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::HasSubstr;
constexpr char key[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@host: \"quoted\" # not a comment";

TEST(Seed, IsAnIsoThatNoCloudFinds) {
  test::TempDir dir;
  write_seed(dir / "seed.iso", {"iid-1", "web", {key}, ""});
  const std::string volume = run_checked({"blkid", {"-p", (dir / "seed.iso").string()}});
  EXPECT_THAT(volume, HasSubstr("LABEL=\"CIDATA\""));
  EXPECT_THAT(volume, HasSubstr("TYPE=\"iso9660\""));
  const auto content = [&](const char* name) {
    run_checked({"xorriso",
                 {"-osirrox", "on", "-indev", (dir / "seed.iso").string(), "-extract", std::string("/") + name,
                  (dir / name).string()}});
    return read_text(dir / name);
  };
  EXPECT_EQ(content("meta-data"), meta_data({"iid-1", "web", {}, ""}));
  EXPECT_EQ(content("user-data"), user_data({"", "", {key}, ""}));
  EXPECT_EQ(content("vendor-data"), vendor_data({}));
}

TEST(Seed, MetaDataNamesTheMachine) {
  const auto meta = nlohmann::json::parse(meta_data({"iid-1", "web", {}, ""}));
  EXPECT_EQ(meta["instance-id"], "iid-1");
  EXPECT_EQ(meta["local-hostname"], "web");
  EXPECT_FALSE(nlohmann::json::parse(meta_data({"iid-1", "", {}, ""})).contains("local-hostname"));
}

TEST(Seed, UserDataHoldsKeysWhateverTheirCommentIs) {
  const std::string text = user_data({"", "", {key}, ""});
  ASSERT_TRUE(text.starts_with("#cloud-config\n"));
  EXPECT_EQ(nlohmann::json::parse(text.substr(14))["ssh_authorized_keys"][0], key);
  EXPECT_EQ(user_data({}), "#cloud-config\n{}\n");
}

TEST(Seed, UserDataOfTheUsersReplacesIt) {
  EXPECT_EQ(user_data({"", "", {key}, "#!/bin/sh\necho hi\n"}), "#!/bin/sh\necho hi\n");
}

TEST(Seed, VendorDataMakesEachMachineItself) {
  const std::string text = vendor_data({.uuid = "00000000-0000-4000-8000-00000000000a", .random = "beef"});
  ASSERT_TRUE(text.starts_with("#cloud-config\n"));
  const auto config = nlohmann::json::parse(text.substr(14));
  EXPECT_EQ(config["ssh_deletekeys"], true);
  EXPECT_EQ(config["random_seed"]["data"], "beef");
  EXPECT_THAT(config["bootcmd"][0].back().get<std::string>(), HasSubstr("echo 0000000000004000800000000000000a >"));
  EXPECT_FALSE(nlohmann::json::parse(vendor_data({}).substr(14)).contains("bootcmd"));
}

TEST(Seed, RefusesWhatIsNoPublicKey) {
  test::TempDir dir;
  try {
    write_seed(dir / "seed.iso", {"i", "web", {"-----BEGIN OPENSSH PRIVATE KEY-----"}, ""});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "this is a private ssh key");
    EXPECT_EQ(e.hint(), "give the .pub file beside it");
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "seed.iso"));
  for (const char* bad : {"", "ssh-ed25519", "hello world", "ssh-rsa A\nssh-rsa B"})
    EXPECT_THROW(check_ssh_key(bad), Error) << bad;
}

}  // namespace
}  // namespace kiln

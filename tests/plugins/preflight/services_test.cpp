// cloud-init, guest tools, secrets, and systems that are no Linux.
#include <gmock/gmock.h>

#include "preflight_run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Services : public testing::Test, protected PreflightRun {};

TEST_F(Services, NeedCloudInit) {
  guest().files.erase("/usr/bin/cloud-init");
  EXPECT_THAT(found(), ElementsAre("CloudInitNotInstalled warning"));
  EXPECT_FALSE(finding("CloudInitNotInstalled").mendable);
  EXPECT_THAT(mended(), ElementsAre("CloudInitNotInstalled warning"));
  EXPECT_THAT(ctx.findings[0].hint, HasSubstr("the appliance has no network"));
  EXPECT_THAT(ctx.findings[0].hint, HasSubstr("customize"));
  EXPECT_EQ(ctx.summed_up, "1 finding: CloudInitNotInstalled");
}

TEST_F(Services, SwitchCloudInitOn) {
  file("/etc/cloud/cloud-init.disabled") = "";
  EXPECT_THAT(found(), ElementsAre("CloudInitNotInstalled warning"));
  EXPECT_THAT(mended(), ElementsAre("CloudInitNotInstalled note"));
  EXPECT_FALSE(guest().exists("/etc/cloud/cloud-init.disabled"));
}

TEST_F(Services, OfOtherHypervisorsAreFound) {
  file("/usr/bin/vmtoolsd") = file("/opt/VBoxGuestAdditions-7.0.1/sbin/VBoxService") = "program";
  EXPECT_THAT(found(), ElementsAre("VendorGuestTools warning", "VendorGuestTools warning"));
  EXPECT_EQ(finding("VendorGuestTools").what, "the system runs VirtualBox Guest Additions, made for VirtualBox");
  EXPECT_EQ(refusal({{"profile", text("tencent")}}), "") << "stock images have open-vm-tools";
  EXPECT_THAT(finding("VendorGuestTools").evidence, ElementsAre("/opt/VBoxGuestAdditions-7.0.1/sbin/VBoxService"));
}

TEST_F(Services, LeaveSecretsThatAreNamedAndNeverShown) {
  file("/root/.ssh/id_ed25519") = "-----BEGIN OPENSSH PRIVATE KEY-----\nVERYSECRET\n";
  file("/root/.ssh/authorized_keys") = "ssh-ed25519 AAAA me";
  file("/home/me/.aws/credentials") = "aws_secret_access_key = VERYSECRET";
  file("/var/lib/cloud/instances/i-1/user-data.txt") = "#cloud-config\npassword: VERYSECRET";
  file("/etc/ssh/ssh_host_rsa_key") = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  EXPECT_THAT(found(),
              ElementsAre("SecretsFound warning", "SecretsFound warning", "SecretsFound warning", "SecretsFound note"));
  EXPECT_THAT(ctx.findings[0].evidence, ElementsAre("/root/.ssh/id_ed25519"));
  EXPECT_THAT(ctx.findings[3].evidence, ElementsAre("/etc/ssh/ssh_host_rsa_key"));
  for (const Finding& finding : ctx.findings) {
    EXPECT_THAT(finding.what, Not(HasSubstr("VERYSECRET")));
    for (const std::string& line : finding.evidence) EXPECT_THAT(line, Not(HasSubstr("VERYSECRET")));
  }
}

TEST_F(Services, TellHowManySecretsThereAreMore) {
  for (int i = 0; i < 30; ++i) file("/home/u" + std::to_string(i) + "/.kube/config") = "token";
  EXPECT_THAT(found(), ElementsAre("SecretsFound warning"));
  EXPECT_EQ(finding("SecretsFound").evidence.size(), 21u);
  EXPECT_EQ(finding("SecretsFound").evidence.back(), "and 10 more");
}

TEST_F(Services, OfWindows) {
  guest().files.clear();
  guest().facts = {{"os.type", "windows"}, {"os.distro", "windows"}, {"os.arch", "x86_64"}};
  guest().folders.insert("/Program Files/VMware/VMware Tools");
  EXPECT_THAT(mended(),
              ElementsAre("VirtioNotInstall warning", "CloudInitNotInstalled warning", "VendorGuestTools warning"));
  EXPECT_EQ(finding("VirtioNotInstall").evidence.size(), 2u);
  guest().folders = {"/", "/Program Files/Cloudbase Solutions/Cloudbase-Init"};
  file("/Windows/System32/drivers/viostor.sys") = file("/Windows/System32/drivers/netkvm.sys") = "driver";
  EXPECT_THAT(found(), ElementsAre());
}

TEST_F(Services, OfNoSystem) {
  guest().facts.clear();
  EXPECT_THAT(found(), ElementsAre("RootPartitionNotFound warning"));
  guest().devices = {"/dev/sda unknown"};
  EXPECT_THAT(found(), ElementsAre("PartitionNotPresent warning", "RootPartitionNotFound warning"));
  guest().call_results["list-partitions"] = "/dev/sda1\n";
  EXPECT_THAT(found(), ElementsAre("RootPartitionNotFound warning"));
  guest().devices = {"/dev/sda1 crypto_LUKS"};
  EXPECT_THAT(found(), ElementsAre("Encrypted warning", "RootPartitionNotFound warning"));
  guest().devices = {};
  guest().facts = {{"os.type", "freebsd"}};
  EXPECT_THAT(found(), ElementsAre()) << "kiln knows nothing of it";
}

}  // namespace
}  // namespace kiln::test

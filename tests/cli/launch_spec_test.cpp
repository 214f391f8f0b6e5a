#include "cli/launch_spec.h"

#include <gmock/gmock.h>

#include <kiln/error.h>
#include <kiln/file.h>

#include "support/temp.h"

namespace kiln::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Call>
std::string error_of(Failure failure, Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.failure(), failure);
    return error.what();
  }
  return "no error";
}

Args with(std::initializer_list<std::pair<const char*, const char*>> all) {
  Args args;
  for (const auto& [name, text] : all) args.add(name, text);
  return args;
}

TEST(PortForwards, AreTwoPorts) {
  const auto both = [](const char* text) {
    const PortForward port = port_forward(text, "--port");
    return std::pair<int, int>(port.host, port.guest);
  };
  EXPECT_EQ(both("2222:22"), std::pair(2222, 22));
  EXPECT_EQ(both("1:65535"), std::pair(1, 65535));
  EXPECT_EQ(both("auto:80"), std::pair(0, 80));
  for (const char* bad : {"", ":", "22", "22:", ":22", "0:22", "22:0", "65536:1", "1:65536", "-1:2", "+1:2", " 1:2",
                          "1:2:3", "auto", "auto:", "22:auto", "0x10:2", "1:2 "})
    EXPECT_EQ(error_of(Failure::invalid, [&] { port_forward(bad, "\"ports\""); }),
              "\"ports\" takes HOST:GUEST, two ports from 1 to 65535, not \"" + std::string(bad) + "\"");
}

TEST(PublicKeys, AreTheLinesThatAreKeys) {
  test::TempDir dir;
  write_text(dir / "keys", "# mine\nssh-ed25519 AAAA me\r\n\n#ssh-rsa no\nssh-rsa BBBB");
  EXPECT_THAT(public_keys(dir / "keys"), ElementsAre("ssh-ed25519 AAAA me", "ssh-rsa BBBB"));
  write_text(dir / "none", "# nothing\n\n");
  EXPECT_THAT(error_of(Failure::invalid, [&] { public_keys(dir / "none"); }), HasSubstr("none holds no public key"));
  write_text(dir / "secret", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n");
  EXPECT_THAT(error_of(Failure::refused, [&] { public_keys(dir / "secret"); }), HasSubstr("secret is a private key"));
  EXPECT_THROW(public_keys(dir / "missing"), Error);
}

TEST(LaunchSpecOfArgs, LeavesToTheImageWhatIsNotGiven) {
  const LaunchSpec spec = launch_spec({});
  EXPECT_EQ(spec.name + spec.disk_bus + spec.nic + spec.network + spec.firmware + spec.token + spec.connect, "");
  EXPECT_EQ(spec.count, 1U);
  EXPECT_EQ(spec.memory.count, 0U);
  EXPECT_EQ(spec.cpus, 0U);
  EXPECT_EQ(spec.disk_size, 0U);
  EXPECT_EQ(spec.driver, "qemu");
  EXPECT_FALSE(spec.stopped || spec.overcommit);
}

TEST(LaunchSpecOfArgs, HasWhatIsGiven) {
  const Args args = with({{"name", "web-##"},
                          {"count", "500"},
                          {"memory", "2G"},
                          {"cpus", "3"},
                          {"disk-size", "1T"},
                          {"disk-bus", "nvme"},
                          {"nic", "none"},
                          {"network", "tap=t"},
                          {"firmware", "secure"},
                          {"port", "1:2"},
                          {"port", "auto:3"},
                          {"token", "t"},
                          {"stopped", ""},
                          {"overcommit", ""}});
  const LaunchSpec spec = launch_spec(args);
  EXPECT_EQ(spec.name, "web-##");
  EXPECT_EQ(spec.count, 500U);
  EXPECT_EQ(spec.memory.count, 2ULL << 30);
  EXPECT_EQ(spec.cpus, 3U);
  EXPECT_EQ(spec.disk_size, 1ULL << 40);
  EXPECT_THAT((std::vector{spec.disk_bus, spec.nic, spec.network, spec.firmware, spec.token}),
              ElementsAre("nvme", "none", "tap=t", "secure", "t"));
  ASSERT_EQ(spec.ports.size(), 2U);
  EXPECT_EQ(spec.ports[1].guest, 3);
  EXPECT_TRUE(spec.stopped && spec.overcommit);
  for (const char* bad : {"0", "501", "-1", "x"})
    EXPECT_NE(error_of(Failure::invalid, [&] { launch_spec(with({{"count", bad}})); }), "no error") << bad;
}

TEST(LaunchSpecOfArgs, AHostMeansLibvirt) {
  EXPECT_EQ(launch_spec(with({{"connect", "qemu:///system"}})).driver, "libvirt");
  EXPECT_EQ(launch_spec(with({{"driver", "libvirt"}})).driver, "libvirt");
  EXPECT_EQ(error_of(Failure::invalid, [] { launch_spec(with({{"driver", "xen"}})); }), "there is no driver \"xen\"");
  EXPECT_EQ(error_of(Failure::invalid,
                     [] {
                       launch_spec(with({{"driver", "qemu"}, {"connect", "x"}}));
                     }),
            "--connect names a host of libvirt");
}

}  // namespace
}  // namespace kiln::cli

#include <gmock/gmock.h>

#include "preflight_run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;

class Network : public testing::Test, protected PreflightRun {
 protected:
  /// What the file becomes. Empty: it has nothing of one machine.
  std::string becomes(const std::string& path, const std::string& content) {
    file(path) = content;
    const bool found_one = finding_in(found());
    mended();
    std::string after = file(path);
    EXPECT_EQ(found_one, after != content) << path;
    EXPECT_FALSE(finding_in(found())) << path << ": not mended\n" << after;
    guest().files.erase(path);
    return found_one ? after : "";
  }
  static bool finding_in(const std::vector<std::string>& told) {
    return std::find(told.begin(), told.end(), "StaticNetwork warning") != told.end();
  }
};

TEST_F(Network, TellsTheLines) {
  file("/etc/network/interfaces") = "auto lo\niface lo inet loopback\niface eth0 inet static\n  address 10.0.0.5\n";
  EXPECT_THAT(found(), ElementsAre("StaticNetwork warning"));
  EXPECT_THAT(finding("StaticNetwork").evidence, ElementsAre("/etc/network/interfaces:3: iface eth0 inet static"));
  EXPECT_TRUE(finding("StaticNetwork").mendable);
}

TEST_F(Network, KeepsTheOriginal) {
  file("/etc/network/interfaces") = "iface eth0 inet static\n";
  EXPECT_THAT(mended(), ElementsAre("StaticNetwork note"));
  EXPECT_THAT(guest().calls, testing::Contains(std::vector<std::string>{"cp-a", "/etc/network/interfaces",
                                                                        "/var/lib/kiln/saved/etc/network/interfaces"}));
}

TEST_F(Network, OfIfupdown) {
  EXPECT_EQ(becomes("/etc/network/interfaces",
                    "auto eth0\niface eth0 inet static\n\taddress 10.0.0.5/24\n\tgateway 10.0.0.1\n\tup echo hi\n"
                    "iface eth1 inet dhcp\n"),
            "auto eth0\niface eth0 inet dhcp\n# kiln: \taddress 10.0.0.5/24\n# kiln: \tgateway 10.0.0.1\n\tup echo hi\n"
            "iface eth1 inet dhcp\n");
  EXPECT_EQ(becomes("/etc/network/interfaces.d/a", "iface eth0 inet6 static\naddress fe80::1\n"),
            "iface eth0 inet6 auto\n# kiln: address fe80::1\n");
  EXPECT_EQ(becomes("/etc/network/interfaces", "iface eth0 inet dhcp\n#iface eth0 inet static\n"), "");
}

TEST_F(Network, OfIfupdownWithSeveralAddresses) {
  const std::string alias = "iface eth0:1 inet static\n  address 10.0.0.6\niface wg0 inet static\n  address 10.9.0.1\n";
  EXPECT_EQ(becomes("/etc/network/interfaces", alias), "");
  EXPECT_EQ(becomes("/etc/network/interfaces", "iface lan inet static\n  address 10.0.0.6\n  bridge_ports eth0\n"), "");
  EXPECT_EQ(
      becomes("/etc/network/interfaces",
              "iface eth0 inet static\n  address 10.0.0.5\n  dns-search example.org\n"
              "  up ip route add 10.7.0.0/16 via 10.0.0.1\n  down route del default gw 10.0.0.1\n  up logger hi\n"
              "iface eth0 inet static\n  address 10.0.0.6\n  up logger two\n"
              "iface eth1 inet static\n  address 10.0.1.5\niface eth1 inet dhcp\n  hwaddress ether 1:2\n" +
                  alias),
      "iface eth0 inet dhcp\n# kiln:   address 10.0.0.5\n# kiln:   dns-search example.org\n"
      "# kiln:   up ip route add 10.7.0.0/16 via 10.0.0.1\n# kiln:   down route del default gw 10.0.0.1\n"
      "  up logger hi\n# kiln: iface eth0 inet static\n# kiln:   address 10.0.0.6\n# kiln:   up logger two\n"
      "# kiln: iface eth1 inet static\n# kiln:   address 10.0.1.5\niface eth1 inet dhcp\n  hwaddress ether 1:2\n" +
          alias);
}

TEST_F(Network, KeepsTheAddressesOfWhatNoOtherMachineHas) {
  const std::string ip = "[ipv4]\nmethod=manual\naddress1=10.9.0.1/24\n";
  for (const char* type : {"wireguard", "tun", "bridge", "vlan", "bond"})
    EXPECT_EQ(
        becomes("/etc/NetworkManager/system-connections/a", "[connection]\ntype=" + std::string(type) + "\n" + ip), "");
  EXPECT_EQ(becomes("/etc/NetworkManager/system-connections/a", "[connection]\ninterface-name=wg0\n" + ip), "");
  for (const char* match :
       {"Name=wg0", "Name=tun*", "Name=br0 br1", "Name=dummy0", "Kind=bond", "Type=wireguard", "Name=eth0.7"})
    EXPECT_EQ(becomes("/etc/systemd/network/1.network",
                      "[Match]\n" + std::string(match) + "\n[Network]\nAddress=10.9.0.1/24\n"),
              "");
  EXPECT_NE(becomes("/etc/systemd/network/1.network", "[Match]\nKind=!*\nType=ether\n[Network]\nAddress=10.9.0.1/24\n"),
            "");
  for (const char* line : {"DEVICE=eth0:1", "TYPE=Bridge", "TYPE=\"Bond\"", "VLAN=yes", "ETHERDEVICE=eth0"})
    EXPECT_EQ(becomes("/etc/sysconfig/network/ifcfg-a", std::string(line) + "\nIPADDR=10.0.0.5\n"), "");
  for (const char* name : {"eth0:1", "br0", "wg0", "eth0.7"})
    EXPECT_EQ(becomes("/etc/sysconfig/network/ifcfg-" + std::string(name), "IPADDR=10.0.0.5\n"), "");
}

TEST_F(Network, OfNetplan) {
  EXPECT_EQ(
      becomes("/etc/netplan/01.yaml",
              "network:\n  ethernets:\n    ens3:\n      addresses: [10.0.0.5/24]\n      nameservers:\n"
              "        addresses: [1.1.1.1]\n"),
      "network:\n  version: 2\n  ethernets:\n    wired:\n      match:\n        name: \"e*\"\n      dhcp4: true\n");
  EXPECT_EQ(becomes("/etc/netplan/01.yaml",
                    "network:\n  ethernets:\n    ens3:\n      dhcp4: true\n      nameservers:\n"
                    "        addresses: [1.1.1.1]\n"),
            "");
  file("/etc/netplan/02.yaml") = "network:\n  bonds:\n    b0:\n      addresses:\n      - 10.0.0.5/24\n";
  EXPECT_THAT(mended(), ElementsAre("StaticNetwork warning")) << "a bond is not guessed at";
  EXPECT_FALSE(finding("StaticNetwork").mendable);
}

TEST_F(Network, OfNetworkManager) {
  EXPECT_EQ(
      becomes("/etc/NetworkManager/system-connections/a.nmconnection",
              "[ethernet]\nmac-address=52:54:00:12:34:56\n[ipv4]\naddress1=10.0.0.5/24,10.0.0.1\ndns=1.1.1.1;\n"
              "route1=10.7.0.0/16,10.0.0.1\nroute-metric=5\nmethod=manual\n[ipv6]\nmethod=auto\n"),
      "[ethernet]\n# kiln: mac-address=52:54:00:12:34:56\n[ipv4]\n# kiln: address1=10.0.0.5/24,10.0.0.1\n"
      "# kiln: dns=1.1.1.1;\n# kiln: route1=10.7.0.0/16,10.0.0.1\nroute-metric=5\nmethod=auto\n[ipv6]\nmethod=auto\n");
  EXPECT_EQ(becomes("/etc/NetworkManager/system-connections/a", "[ipv4]\nmethod=auto\n"), "");
}

TEST_F(Network, OfNetworkd) {
  EXPECT_EQ(becomes("/etc/systemd/network/10.network",
                    "[Match]\nMACAddress=52:54:00:12:34:56\n[Network]\nAddress=10.0.0.5/24\nGateway=10.0.0.1\n"),
            "[Match]\nType=ether\n[Network]\nDHCP=yes\n# kiln: Address=10.0.0.5/24\n# kiln: Gateway=10.0.0.1\n");
  EXPECT_EQ(becomes("/etc/systemd/network/10.network", "[Network]\nDHCP=no\nAddress=10.0.0.5/24\n"),
            "[Network]\nDHCP=yes\n# kiln: Address=10.0.0.5/24\n");
  EXPECT_EQ(becomes("/etc/systemd/network/lo.network", "[Match]\nName=lo\n[Network]\nAddress=10.9.9.9/32\n"), "");
  EXPECT_EQ(becomes("/etc/systemd/network/10.network", "[Match]\nName=e*\n[Network]\nDHCP=yes\n"), "");
}

TEST_F(Network, OfIfcfg) {
  EXPECT_EQ(becomes("/etc/sysconfig/network-scripts/ifcfg-eth0",
                    "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=10.0.0.5\nPREFIX=24\nHWADDR=52:54:00:12:34:56\n"),
            "DEVICE=eth0\nBOOTPROTO=dhcp\n# kiln: IPADDR=10.0.0.5\n# kiln: PREFIX=24\n"
            "# kiln: HWADDR=52:54:00:12:34:56\n");
  EXPECT_EQ(becomes("/etc/sysconfig/network/ifcfg-eth0", "IPADDR='10.0.0.5/24'\n"),
            "# kiln: IPADDR='10.0.0.5/24'\nBOOTPROTO=dhcp\n");
  EXPECT_EQ(becomes("/etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\nIPADDR=127.0.0.1\n"), "");
}

TEST_F(Network, IsReadLikeAStrangersFile) {
  for (const char* path : {"/etc/network/interfaces", "/etc/netplan/a.yaml", "/etc/systemd/network/a.network",
                           "/etc/NetworkManager/system-connections/a", "/etc/sysconfig/network-scripts/ifcfg-a"})
    for (const std::string& content : {std::string("[\n]\n[]\n=\n:\n- :\n--- a\n\xff\n"), std::string(1, '\0'),
                                       std::string("iface\niface a\niface a inet\n[ipv4\nmethod\n")}) {
      file(path) = content;
      EXPECT_THAT(mended(), ElementsAre()) << path;
      EXPECT_EQ(file(path), content);
    }
}

}  // namespace
}  // namespace kiln::test

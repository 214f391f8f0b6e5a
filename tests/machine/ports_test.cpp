#include "machine/ports.h"

#include <gmock/gmock.h>

#include <set>

namespace kiln {
namespace {

using testing::HasSubstr;

template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "no error";
}

/// The lowest port that is chosen where any will do; what others listen on is passed over.
std::uint16_t first_chosen() {
  return choose_ports({{0, 22}}, 1, {})[0][0].host;
}

TEST(Ports, ThoseThatAreGivenAreNoneToChooseFrom) {
  const std::uint16_t given = first_chosen();
  for (const auto& wanted : {std::vector<PortForward>{{given, 80}, {0, 22}}, {{0, 22}, {given, 80}}}) {
    std::set<std::uint16_t> hosts;
    const auto all = choose_ports(wanted, 3, {});
    for (const auto& ports : all)
      for (const PortForward& port : ports) {
        hosts.insert(port.host);
        EXPECT_EQ(port.guest == 80, port.host < given + 3) << port.host;
      }
    EXPECT_EQ(hosts.size(), 6U);
    EXPECT_TRUE(hosts.contains(given) && hosts.contains(static_cast<std::uint16_t>(given + 2)));
  }
}

TEST(Ports, AStoppedInstanceKeepsThoseThatWereChosenForIt) {
  Instance other;
  other.ports = {{first_chosen(), 22}};
  EXPECT_NE(choose_ports({{0, 22}}, 1, {other})[0][0].host, other.ports[0].host);
}

TEST(Ports, ThereIsAnEndToThem) {
  EXPECT_THAT(error_of([] { choose_ports({{65535, 22}}, 2, {}); }), HasSubstr("there are not 2 ports from 65535 on"));
}

TEST(Ports, ARefusalProposesWhatCanBeDoneWhereTheyAreWritten) {
  Instance other;
  other.name = "other";
  other.state = Instance::State::running;
  other.ports = {{2222, 22}};
  const auto refused = [&](PortsOf written) { return error_of([&] { check_ports({{2222, 22}}, {other}, written); }); };
  EXPECT_EQ(refused(PortsOf::options),
            "port 2222 of this host is used by instance \"other\" | choose another, for example --port 3222:22");
  EXPECT_THAT(refused(PortsOf::fleet), HasSubstr("| write another into the fleet's file, for example \"3222:22\""));
  EXPECT_THAT(refused(PortsOf::record), HasSubstr("| end what uses it: an instance keeps its ports"));
}

TEST(Networks, LeadWhereTheyCan) {
  Hardware hardware;
  EXPECT_NO_THROW(require_network_for(hardware, {{0, 22}}, 500));
  hardware.tap = "tap0";
  EXPECT_NO_THROW(require_network_for(hardware, {}, 1));
  EXPECT_THAT(error_of([&] { require_network_for(hardware, {}, 2); }),
              HasSubstr("the tap device \"tap0\" leads into one machine, and these are 2 |"));
  EXPECT_THAT(error_of([&] {
                require_network_for(hardware, {{0, 22}}, 1);
              }),
              HasSubstr("not into the tap device \"tap0\" |"));
  hardware.tap = "";
  hardware.nic = Nic::none;
  EXPECT_NO_THROW(require_network_for(hardware, {}, 2));
  EXPECT_THAT(error_of([&] {
                require_network_for(hardware, {{0, 22}}, 1);
              }),
              HasSubstr("no port leads into a machine without a network card |"));
}

}  // namespace
}  // namespace kiln

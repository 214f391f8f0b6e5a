#include "machine/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>

namespace kiln {
namespace {

/// True when nothing listens on the loopback address's port now.
bool is_free(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw system_error("cannot make a socket", errno);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool ok = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

/// Ports above this one are handed out where any will do; the host's own ephemeral ones begin at 32768.
constexpr std::uint16_t first_chosen = 20000, last_chosen = 32767;

/// Also one of an instance that is stopped is not taken: it wants to start again.
std::uint16_t free_port(std::set<std::uint16_t>& taken) {
  for (std::uint16_t port = first_chosen; port <= last_chosen; ++port)
    if (!taken.contains(port) && is_free(port)) return *taken.insert(port).first;
  throw Error(
      "this host has no port between " + std::to_string(first_chosen) + " and " + std::to_string(last_chosen) + " left",
      "remove instances that are no longer needed: kiln rm NAME");
}

std::string another(const PortForward& port, PortsOf written) {
  const std::string ports =
      std::to_string(port.host < 64000 ? port.host + 1000 : 2222) + ":" + std::to_string(port.guest);
  switch (written) {
    case PortsOf::options:
      return "choose another, for example --port " + ports;
    case PortsOf::fleet:
      return "write another into the fleet's file, for example \"" + ports + "\"";
    case PortsOf::record:
      return "end what uses it: an instance keeps its ports";
  }
  return {};
}

/// Counts on from the ports that are given; the others stay 0.
std::vector<std::vector<PortForward>> counted_on(const std::vector<PortForward>& wanted, std::size_t count) {
  std::vector<std::vector<PortForward>> all(count, wanted);
  for (std::size_t i = 0; i < count; ++i)
    for (PortForward& port : all[i]) {
      if (port.host == 0) continue;
      if (port.host + i > 65535)
        throw invalid("there are not " + std::to_string(count) + " ports from " + std::to_string(port.host) + " on",
                      "begin with a lower one, or let kiln choose: auto:" + std::to_string(port.guest));
      port.host = static_cast<std::uint16_t>(port.host + i);
    }
  return all;
}

}  // namespace

void require_network_for(const Hardware& hardware, const std::vector<PortForward>& ports, std::size_t count) {
  const bool is_on_tap = !hardware.tap.empty();
  if (is_on_tap && count > 1)
    throw invalid(
        "the tap device \"" + hardware.tap + "\" leads into one machine, and these are " + std::to_string(count),
        "launch them one by one, each with a device of its own");
  if (ports.empty()) return;
  if (hardware.nic == Nic::none)
    throw invalid("no port leads into a machine without a network card", "leave the ports out, or choose a card");
  if (is_on_tap)
    throw invalid("ports lead into the user-mode network only, and not into the tap device \"" + hardware.tap + "\"",
                  "leave the ports out: the machine can be reached through its device");
}

std::vector<std::vector<PortForward>> choose_ports(const std::vector<PortForward>& wanted, std::size_t count,
                                                   const std::vector<Instance>& others, PortsOf written) {
  std::vector<std::vector<PortForward>> all = counted_on(wanted, count);
  std::set<std::uint16_t> taken;
  for (const Instance& other : others)
    for (const PortForward& port : other.ports) taken.insert(port.host);
  for (const auto& ports : all)  // all that are given, before one of them could be chosen for another
    for (const PortForward& port : ports) taken.insert(port.host);
  std::vector<PortForward> together;
  for (auto& ports : all)
    for (PortForward& port : ports) {
      if (port.host == 0) port.host = free_port(taken);
      together.push_back(port);
    }
  check_ports(together, others, written);
  return all;
}

void check_ports(const std::vector<PortForward>& ports, const std::vector<Instance>& others, PortsOf written) {
  std::set<std::uint16_t> seen;
  for (const PortForward& port : ports) {
    const std::string number = std::to_string(port.host);
    const std::string hint = another(port, written);
    if (port.host == 0 || port.guest == 0) throw invalid("port 0 cannot be forwarded", "give HOST:GUEST, 1 to 65535");
    if (!seen.insert(port.host).second) throw invalid("port " + number + " of this host is given twice", hint);
    for (const Instance& other : others)
      for (const PortForward& taken : other.ports)
        if (other.state == Instance::State::running && taken.host == port.host)
          throw Error("port " + number + " of this host is used by instance \"" + other.name + "\"", hint);
    if (!is_free(port.host)) throw Error("port " + number + " of this host is in use", hint);
  }
}

}  // namespace kiln

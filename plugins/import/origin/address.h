#pragma once
// Which addresses a URL of a stranger's may lead to. One that leads inside is how a service is made to fetch its own
// secrets (CVE-2026-34881): what is no address of the public internet is refused unless somebody allowed it.

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::import {

/// An address as 128 bits; one of IPv4 as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2), so that both its forms are one.
using Address = std::array<std::uint8_t, 16>;
/// Nothing for a family that is not of IP.
std::optional<Address> address_of(const sockaddr&);
/// "10.0.0.1", "fe80::1".
std::string text_of(const Address&);

/// A run of addresses: "10.0.0.0/8", "fc00::/7", or one address.
struct Block {
  Address begin{};
  unsigned bits = 128;
  bool has(const Address&) const;
};
/// Nothing when it is none.
std::optional<Block> parse_block(std::string_view text);

/// Immutable. Any thread.
class AddressRule {
 public:
  /// `allow`: blocks and names of hosts that may be reached nevertheless.
  explicit AddressRule(const std::vector<std::string>& allow);

  /// Whether the name is allowed, whatever it means.
  bool allows(std::string_view host) const;
  /// What keeps one from connecting to it, such as "loopback"; nothing when it may be connected to.
  std::optional<std::string> against(const Address&) const;
  /// Throws refused() when that keeps one from it. `host`: the name that led there.
  void require(const Address&, const std::string& host) const;

 private:
  std::vector<Block> blocks_;
  std::vector<std::string> hosts_;
};

/// A host's addresses by getaddrinfo(3), in its order. Decimal, hexadecimal and octal forms of an address are what the
/// system takes them for. Throws Error when there are none.
struct Resolved {
  sockaddr_storage address;
  socklen_t length;
};
std::vector<Resolved> resolve(const std::string& host, const std::string& port);

}  // namespace kiln::import

#include "origin/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <memory>

#include <kiln/finding.h>
#include <kiln/text.h>

namespace kiln::import {
namespace {

struct Range {
  const char *block, *name;
};

/// The registries of special-purpose addresses (RFC 6890 and IANA's lists that follow it), and what is multicast.
constexpr Range special[] = {
    {"0.0.0.0/8", "unspecified"},        {"10.0.0.0/8", "private"},         {"100.64.0.0/10", "carrier-grade NAT"},
    {"127.0.0.0/8", "loopback"},         {"169.254.0.0/16", "link-local"},  {"172.16.0.0/12", "private"},
    {"192.0.0.0/24", "reserved"},        {"192.0.2.0/24", "documentation"}, {"192.88.99.0/24", "reserved"},
    {"192.168.0.0/16", "private"},       {"198.18.0.0/15", "benchmarking"}, {"198.51.100.0/24", "documentation"},
    {"203.0.113.0/24", "documentation"}, {"224.0.0.0/4", "multicast"},      {"240.0.0.0/4", "reserved"},
    {"::/128", "unspecified"},           {"::1/128", "loopback"},           {"64:ff9b:1::/48", "private"},
    {"100::/64", "discarded"},           {"2001::/23", "reserved"},         {"2001:db8::/32", "documentation"},
    {"3fff::/20", "documentation"},      {"5f00::/16", "reserved"},         {"fc00::/7", "private"},
    {"fe80::/10", "link-local"},         {"fec0::/10", "private"},          {"ff00::/8", "multicast"}};

/// Where an address of IPv6 carries one of IPv4 that a router may send it on to.
struct Carrier {
  const char *block, *name;
  std::size_t at;
};
constexpr Carrier carriers[] = {{"::/96", "IPv4-compatible", 12},       // RFC 4291, section 2.5.5.1
                                {"::ffff:0:0:0/96", "translated", 12},  // RFC 2765, section 2.1
                                {"64:ff9b::/96", "NAT64", 12},          // RFC 6052, section 2.1
                                {"2002::/16", "6to4", 2}};              // RFC 3056, section 2

constexpr Address mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Address from_v4(const void* four) {
  Address address = mapped;
  std::memcpy(address.data() + 12, four, 4);
  return address;
}

bool is_v4(const Address& address) {
  return std::equal(mapped.begin(), mapped.begin() + 12, address.begin());
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (out.starts_with('[') && out.ends_with(']')) out = out.substr(1, out.size() - 2);
  return out;
}

std::optional<std::string> special_name(const Address& address) {
  static const auto known = [] {
    std::vector<std::pair<Block, const char*>> all;
    for (const Range& range : special) all.emplace_back(*parse_block(range.block), range.name);
    return all;
  }();
  for (const auto& [block, name] : known)
    if (block.has(address)) return name;
  return std::nullopt;
}

}  // namespace

std::optional<Address> address_of(const sockaddr& any) {
  if (any.sa_family == AF_INET) return from_v4(&reinterpret_cast<const sockaddr_in&>(any).sin_addr);
  if (any.sa_family != AF_INET6) return std::nullopt;
  Address address;
  std::memcpy(address.data(), &reinterpret_cast<const sockaddr_in6&>(any).sin6_addr, address.size());
  return address;
}

std::string text_of(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_v4(address))
    ::inet_ntop(AF_INET, address.data() + 12, text.data(), text.size());
  else
    ::inet_ntop(AF_INET6, address.data(), text.data(), text.size());
  return text.data();
}

bool Block::has(const Address& address) const {
  const unsigned whole = bits / 8, rest = bits % 8;
  if (!std::equal(begin.begin(), begin.begin() + whole, address.begin())) return false;
  return rest == 0 || (begin[whole] ^ address[whole]) >> (8 - rest) == 0;
}

std::optional<Block> parse_block(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Block block;
  in_addr four{};
  const bool v4 = ::inet_pton(AF_INET, address.c_str(), &four) == 1;
  if (v4)
    block.begin = from_v4(&four);
  else if (::inet_pton(AF_INET6, address.c_str(), block.begin.data()) != 1)
    return std::nullopt;
  if (slash == std::string_view::npos) return block;
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), block.bits);
  if (error != std::errc{} || end != digits.data() + digits.size() || block.bits > (v4 ? 32U : 128U))
    return std::nullopt;
  if (v4) block.bits += 96;
  return block;
}

AddressRule::AddressRule(const std::vector<std::string>& allow) {
  for (const std::string& one : allow) {
    if (const auto block = parse_block(one))
      blocks_.push_back(*block);
    else
      hosts_.push_back(lower(one));
  }
}

bool AddressRule::allows(std::string_view host) const {
  return std::find(hosts_.begin(), hosts_.end(), lower(host)) != hosts_.end();
}

std::optional<std::string> AddressRule::against(const Address& address) const {
  if (std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) { return block.has(address); })) return {};
  if (const auto name = special_name(address)) return name;
  for (const Carrier& carrier : carriers) {
    if (is_v4(address) || !parse_block(carrier.block)->has(address)) continue;
    if (const auto inner = special_name(from_v4(address.data() + carrier.at))) return *inner + ", " + carrier.name;
  }
  return {};
}

void AddressRule::require(const Address& address, const std::string& host) const {
  if (allows(host)) return;
  const auto why = against(address);
  if (!why) return;
  throw refused("the URL leads to an address that is not of the public internet",
                "if it is meant, allow it: allow = [\"" + text_of(address) + "\"], or --allow " + text_of(address),
                {in_quotes(host) + " is " + text_of(address) + " (" + *why + ")"})
      .as(code::private_address);
}

std::vector<Resolved> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(lower(host).c_str(), port.c_str(), &hints, &list);
  if (error != 0)
    throw Error("cannot find the host " + in_quotes(host), "is the name right, and the network up?",
                {::gai_strerror(error)});
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  std::vector<Resolved> all;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    Resolved found{{}, one->ai_addrlen};
    std::memcpy(&found.address, one->ai_addr, std::min<std::size_t>(one->ai_addrlen, sizeof found.address));
    all.push_back(found);
  }
  return all;
}

}  // namespace kiln::import

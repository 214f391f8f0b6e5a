#include "network_files.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "text.h"

namespace kiln::preflight {
namespace {

using Marks = std::vector<std::size_t>;

template <std::size_t N>
bool one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::ranges::find(words, word) != words.end();
}

void comment_out(std::string& line) {
  line.insert(0, "# kiln: ");
}

}  // namespace

bool is_card(std::string_view name) {
  static constexpr std::array<std::string_view, 16> made{"wg",    "vmbr", "tun",   "tap",  "br",   "virbr",
                                                         "bond",  "team", "dummy", "vlan", "veth", "docker",
                                                         "vxlan", "gre",  "sit",   "vti"};
  return name != "lo" && name.find_first_of(":.") == std::string_view::npos &&
         std::ranges::none_of(made, [&](std::string_view start) { return name.starts_with(start); });
}

namespace {

// --- ifupdown: interfaces(5)

bool is_stanza(const std::vector<std::string>& words) {
  return words.size() >= 4 && words[0] == "iface" && words[2].starts_with("inet");
}

bool begins_stanza(const std::vector<std::string>& words) {
  return !words.empty() &&
         (words[0] == "iface" || words[0] == "auto" || words[0] == "mapping" || words[0].starts_with("allow-") ||
          words[0].starts_with("source") || words[0].starts_with("no-"));
}

/// Interfaces that are put together here: bridges, bonds, VLANs (interfaces(5) of ifupdown and ifupdown-ng).
std::set<std::string> made_in(const Lines& lines) {
  std::set<std::string> out;
  std::string current;
  for (const std::string& line : lines) {
    const std::vector<std::string> words = words_of(line);
    if (begins_stanza(words)) current = is_stanza(words) ? words[1] : "";
    if (words.empty() || current.empty()) continue;
    for (const char* start : {"bridge", "bond", "vlan", "wireguard", "tunnel"})
      if (words[0].starts_with(start)) out.insert(current);
  }
  return out;
}

bool is_static_stanza(const std::vector<std::string>& words, const std::set<std::string>& made) {
  return is_stanza(words) && words[3] == "static" && is_card(words[1]) && !made.contains(words[1]);
}

Marks marks_of_interfaces(const Lines& lines) {
  const std::set<std::string> made = made_in(lines);
  Marks out;
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (is_static_stanza(words_of(lines[i]), made)) out.push_back(i);
  return out;
}

/// What belongs to the address: routes too, which nobody but a command may add.
bool goes_with_address(const std::vector<std::string>& words) {
  static constexpr std::array<std::string_view, 7> fixed{"address",   "netmask",   "gateway",    "network",
                                                         "broadcast", "hwaddress", "pointopoint"};
  static constexpr std::array<std::string_view, 6> hooks{"up", "pre-up", "post-up", "down", "pre-down", "post-down"};
  const auto is_way = [](const std::string& word) { return word == "via" || word == "gw"; };
  return one_of(words[0], fixed) || words[0].starts_with("dns-") ||
         (one_of(words[0], hooks) && std::ranges::any_of(words, is_way));
}

/// Cards have a stanza for each of their addresses; one asks for all.
bool mend_interfaces(Lines& lines) {
  const auto key = [](const std::vector<std::string>& words) { return words[1] + ' ' + words[2]; };
  const std::set<std::string> made = made_in(lines);
  std::set<std::string> asking;
  for (const std::string& line : lines)
    if (const auto words = words_of(line); is_stanza(words) && !is_static_stanza(words, made))
      asking.insert(key(words));
  enum class Within { other, changed, dropped } within = Within::other;
  for (std::string& line : lines) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0].starts_with('#')) continue;
    if (is_static_stanza(words, made)) {
      within = asking.insert(key(words)).second ? Within::changed : Within::dropped;
      if (within == Within::changed) line = "iface " + key(words) + (words[2] == "inet6" ? " auto" : " dhcp");
    } else if (begins_stanza(words)) {
      within = Within::other;
    }
    if (within == Within::dropped || (within == Within::changed && goes_with_address(words))) comment_out(line);
  }
  return true;
}

// --- sections of "key=value": NetworkManager's nm-settings-keyfile(5), systemd.network(5); ifcfg has no sections

struct Entry {
  std::string section, key, value;
};

/// What a line says, when it says something. `section` is kept from line to line.
bool read_entry(const std::string& line, std::string& section, Entry& out) {
  const std::string_view text = trimmed(line);
  if (text.empty() || text[0] == '#' || text[0] == ';') return false;
  if (text.front() == '[' && text.back() == ']') {
    section = text.substr(1, text.size() - 2);
    return false;
  }
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return false;
  out = {section, std::string(trimmed(text.substr(0, equals))), std::string(trimmed(text.substr(equals + 1)))};
  return true;
}

template <class Work>
void for_each_entry(const Lines& lines, Work work) {
  std::string section;
  Entry entry;
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (read_entry(lines[i], section, entry)) work(i, entry);
}

bool is_ip(const Entry& e) {
  return e.section == "ipv4" || e.section == "ipv6";
}

bool is_address_of_card(const Entry& e) {
  return (e.section == "ethernet" || e.section == "802-3-ethernet") && e.key == "mac-address";
}

/// A tunnel, a bridge, a bond: nobody but this file knows its address.
bool is_made(const Entry& e) {
  static constexpr std::array<std::string_view, 4> cards{"ethernet", "802-3-ethernet", "wifi", "802-11-wireless"};
  if (e.section != "connection") return false;
  return (e.key == "type" && !one_of(e.value, cards)) || (e.key == "interface-name" && !is_card(e.value));
}

Marks marks_of_keyfile(const Lines& lines) {
  Marks out;
  bool made = false;
  for_each_entry(lines, [&](std::size_t i, const Entry& e) {
    made = made || is_made(e);
    if ((is_ip(e) && e.key == "method" && e.value == "manual") || is_address_of_card(e)) out.push_back(i);
  });
  return made ? Marks{} : out;
}

bool mend_keyfile(Lines& lines) {
  const Lines before = lines;
  for_each_entry(before, [&](std::size_t i, const Entry& e) {
    if (is_ip(e) && e.key == "method" && e.value == "manual") lines[i] = "method=auto";
    const bool route = e.key.starts_with("route") && e.key != "route-metric";
    const bool fixed = e.key.starts_with("address") || e.key == "gateway" || e.key == "dns" || route;
    if (is_address_of_card(e) || (is_ip(e) && fixed)) comment_out(lines[i]);
  });
  return true;
}

/// systemd.network(5), [Match]: names are patterns, "!" in front of a list turns it round.
bool matches_made(const Entry& e) {
  static constexpr std::array<std::string_view, 2> cards{"ether", "wlan"};
  if (e.section != "Match" || e.value.starts_with('!')) return false;
  const std::vector<std::string> words = words_of(e.value);
  if (e.key == "Name") return std::ranges::none_of(words, is_card);
  if (e.key == "Type") return std::ranges::none_of(words, [](const std::string& type) { return one_of(type, cards); });
  return e.key == "Kind";
}

Marks marks_of_networkd(const Lines& lines) {
  Marks out;
  bool made = false;
  for_each_entry(lines, [&](std::size_t i, const Entry& e) {
    made = made || matches_made(e);
    if ((e.section == "Network" || e.section == "Address") && e.key == "Address") out.push_back(i);
    if (e.section == "Match" && (e.key == "MACAddress" || e.key == "PermanentMACAddress")) out.push_back(i);
  });
  return made ? Marks{} : out;
}

bool mend_networkd(Lines& lines) {
  static constexpr std::array<std::string_view, 4> no{"no", "false", "off", "0"};
  const Lines before = lines;
  bool dhcp = false;
  for_each_entry(before, [&](std::size_t i, const Entry& e) {
    const bool of_network = e.section == "Network" && (e.key == "Address" || e.key == "Gateway" || e.key == "DNS");
    if (of_network || e.section == "Address" || e.section == "Route") comment_out(lines[i]);
    if (e.section == "Match" && e.key.ends_with("MACAddress")) lines[i] = "Type=ether";
    if (e.section != "Network" || e.key != "DHCP") return;
    if (one_of(lower(e.value), no)) lines[i] = "DHCP=yes";
    dhcp = true;
  });
  const auto network =
      std::ranges::find_if(lines, [](const std::string& line) { return trimmed(line) == "[Network]"; });
  if (!dhcp && network != lines.end()) lines.insert(network + 1, "DHCP=yes");
  if (network == lines.end()) lines.insert(lines.end(), {"[Network]", "DHCP=yes"});
  return true;
}

// --- ifcfg: initscripts' sysconfig.txt, SUSE's ifcfg(5)

std::string bare(std::string value) {
  std::erase_if(value, [](char c) { return c == '"' || c == '\''; });
  return lower(value);
}

bool is_made_by_ifcfg(const Entry& e) {
  static constexpr std::array<std::string_view, 3> cards{"ethernet", "wireless", ""};
  static constexpr std::array<std::string_view, 5> makes{"BRIDGE_PORTS", "BONDING_MASTER", "BONDING_OPTS",
                                                         "ETHERDEVICE", "TUNNEL"};
  if (e.key == "DEVICE") return !is_card(bare(e.value));
  return one_of(e.key, makes) || (e.key == "TYPE" && !one_of(bare(e.value), cards)) ||
         (e.key == "VLAN" && bare(e.value) == "yes");
}

Marks marks_of_ifcfg(const Lines& lines) {
  Marks out;
  bool made = false;
  for_each_entry(lines, [&](std::size_t i, const Entry& e) {
    made = made || is_made_by_ifcfg(e);
    if (e.key.starts_with("IPADDR") && !bare(e.value).empty()) out.push_back(i);
    if (e.key == "HWADDR") out.push_back(i);
  });
  return made ? Marks{} : out;
}

bool mend_ifcfg(Lines& lines) {
  const Lines before = lines;
  bool protocol = false;
  for_each_entry(before, [&](std::size_t i, const Entry& e) {
    for (const std::string_view key :
         {"IPADDR", "NETMASK", "PREFIX", "GATEWAY", "BROADCAST", "NETWORK", "HWADDR", "DNS"})
      if (e.key.starts_with(key)) return comment_out(lines[i]);
    if (e.key != "BOOTPROTO") return;
    lines[i] = "BOOTPROTO=dhcp";
    protocol = true;
  });
  if (!protocol) lines.emplace_back("BOOTPROTO=dhcp");
  return true;
}

// --- netplan: a look at the keys of its YAML, by their indentation

struct Key {
  std::size_t indent = 0;
  std::string name;
};

/// Calls `work` with each "key:" and those above it.
template <class Work>
void for_each_key(const Lines& lines, Work work) {
  std::vector<Key> above;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view text = trimmed(lines[i]);
    const std::size_t colon = text.find(':');
    if (text.empty() || text[0] == '#' || colon == std::string_view::npos) continue;
    const std::size_t indent = lines[i].find_first_not_of(" \t-");
    while (!above.empty() && above.back().indent >= indent) above.pop_back();
    const std::string name(text.substr(text.find_first_not_of("- "), colon));
    work(i, name.substr(0, name.find(':')), above);
    above.push_back({indent, name.substr(0, name.find(':'))});
  }
}

Marks marks_of_netplan(const Lines& lines) {
  Marks out;
  for_each_key(lines, [&](std::size_t i, const std::string& name, const std::vector<Key>& above) {
    const std::string parent = above.empty() ? "" : above.back().name;
    if (name == "addresses" && parent != "nameservers") out.push_back(i);
    if (name == "macaddress" && parent == "match") out.push_back(i);
  });
  return out;
}

/// Written anew: any wired card asks. What has bonds or bridges is not for a machine elsewhere to guess.
bool mend_netplan(Lines& lines) {
  bool plain = true;
  for_each_key(lines, [&](std::size_t, const std::string& name, const std::vector<Key>& above) {
    static constexpr std::array<std::string_view, 8> other{"bonds",   "bridges",       "vlans", "wifis",
                                                           "tunnels", "dummy-devices", "vrfs",  "modems"};
    if (above.size() <= 1 && one_of(name, other)) plain = false;
  });
  if (plain)
    lines = {"network:",     "  version: 2",         "  ethernets:",     "    wired:",
             "      match:", "        name: \"e*\"", "      dhcp4: true"};
  return plain;
}

}  // namespace

const std::vector<NetworkFiles>& network_files() {
  static const std::vector<NetworkFiles> all{
      {{"/etc/network/interfaces", "/etc/network/interfaces.d/*"}, marks_of_interfaces, mend_interfaces},
      {{"/etc/netplan/*.yaml", "/etc/netplan/*.yml"}, marks_of_netplan, mend_netplan},
      {{"/etc/NetworkManager/system-connections/*"}, marks_of_keyfile, mend_keyfile},
      {{"/etc/systemd/network/*.network"}, marks_of_networkd, mend_networkd},
      {{"/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*"}, marks_of_ifcfg, mend_ifcfg}};
  return all;
}

}  // namespace kiln::preflight

#include "machine/hardware.h"

#include <array>
#include <charconv>
#include <utility>

namespace kiln {
namespace {

template <typename T, std::size_t N>
using Words = std::array<std::pair<T, std::string_view>, N>;

constexpr Words<Firmware, 3> firmwares{
    {{Firmware::bios, "bios"}, {Firmware::uefi, "uefi"}, {Firmware::secure, "secure"}}};
constexpr Words<DiskBus, 4> buses{
    {{DiskBus::virtio, "virtio"}, {DiskBus::scsi, "scsi"}, {DiskBus::sata, "sata"}, {DiskBus::nvme, "nvme"}}};
constexpr Words<Nic, 5> nics{{{Nic::virtio, "virtio"},
                              {Nic::e1000, "e1000"},
                              {Nic::e1000e, "e1000e"},
                              {Nic::rtl8139, "rtl8139"},
                              {Nic::none, "none"}}};
constexpr std::size_t longest_device_name = 15;  // IFNAMSIZ - 1

template <typename T, std::size_t N>
std::string_view word_of(const Words<T, N>& words, T value) {
  for (const auto& [known, word] : words)
    if (known == value) return word;
  return "";
}

template <typename T, std::size_t N>
std::optional<T> find(const Words<T, N>& words, std::string_view word) {
  for (const auto& [value, known] : words)
    if (known == word) return value;
  return std::nullopt;
}

template <typename T, std::size_t N>
T get(const Words<T, N>& words, std::string_view what, std::string_view word) {
  if (const auto value = find(words, word)) return *value;
  std::string all;
  for (const auto& [value, known] : words) all += (all.empty() ? "" : ", ") + std::string(known);
  throw invalid("there is no " + std::string(what) + " \"" + std::string(word) + "\"", "there are: " + all);
}

std::optional<std::string_view> fact(const Facts& facts, const char* name) {
  const auto found = facts.find(name);
  if (found == facts.end()) return std::nullopt;
  return found->second;
}

std::optional<std::uint64_t> number(const Facts& facts, const char* name, std::uint64_t least, std::uint64_t most) {
  const auto text = fact(facts, name);
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size() || value < least || value > most) return std::nullopt;
  return value;
}

std::string tap_of(const std::string& network) {
  constexpr std::string_view prefix = "tap=";
  if (network.empty() || network == "user" || network == "isolated") return {};
  const std::string name = network.starts_with(prefix) ? network.substr(prefix.size()) : "";
  const bool is_name = !name.empty() && name.size() <= longest_device_name && name.find_first_of("/, ") == name.npos;
  if (!is_name) throw invalid("there is no network \"" + network + "\"", "give user, isolated, or tap=NAME");
  return name;
}

}  // namespace

std::string_view to_text(Firmware firmware) {
  return word_of(firmwares, firmware);
}

std::string_view to_text(DiskBus bus) {
  return word_of(buses, bus);
}

std::string_view to_text(Nic nic) {
  return word_of(nics, nic);
}

std::string network_text(const Hardware& hardware) {
  if (!hardware.tap.empty()) return "tap=" + hardware.tap;
  return hardware.isolated ? "isolated" : "user";
}

Firmware firmware_from(std::string_view word) {
  return get(firmwares, "firmware", word);
}

DiskBus disk_bus_from(std::string_view word) {
  return get(buses, "disk bus", word);
}

Nic nic_from(std::string_view word) {
  return get(nics, "network card", word);
}

void require_bus_for(DiskBus bus, std::size_t data_disks) {
  // AHCI has six ports, of which the system disk and the seed have two. On PCI the other devices of a machine need
  // room as well (qemu.cpp). A SCSI bus is not the limit, but what a capture takes.
  const std::size_t most = bus == DiskBus::sata ? 4 : bus == DiskBus::scsi ? 63 : 16;
  if (data_disks > most)
    throw refused("a machine can have " + std::to_string(most) + " data disks on " + std::string(to_text(bus)) +
                      ", and the image has " + std::to_string(data_disks),
                  "choose a bus that takes more: --disk-bus scsi");
}

Hardware hardware_for(const LaunchSpec& spec, const Facts& image) {
  constexpr std::uint64_t least_memory = 32u << 20, most_memory = std::uint64_t{1} << 46;
  Hardware hardware;
  hardware.memory.count = spec.memory.count != 0
                              ? spec.memory.count
                              : number(image, "machine.memory", least_memory, most_memory).value_or(1u << 30);
  hardware.cpus = spec.cpus != 0 ? spec.cpus : static_cast<unsigned>(number(image, "machine.cpus", 1, 255).value_or(2));
  if (hardware.memory < Bytes{least_memory}) throw invalid("a machine needs at least 32 MiB of memory");
  if (hardware.cpus > 255) throw invalid("a machine can have 255 cpus at most");
  if (!spec.firmware.empty())
    hardware.firmware = firmware_from(spec.firmware);
  else if (const auto word = fact(image, "boot.firmware"))
    hardware.firmware = find(firmwares, *word).value_or(hardware.firmware);
  if (!spec.disk_bus.empty())
    hardware.disk_bus = disk_bus_from(spec.disk_bus);
  else if (const auto word = fact(image, "machine.disk_bus"))
    hardware.disk_bus = find(buses, *word).value_or(hardware.disk_bus);
  if (!spec.nic.empty())
    hardware.nic = nic_from(spec.nic);
  else if (const auto word = fact(image, "machine.nic"))
    hardware.nic = find(nics, *word).value_or(hardware.nic);
  hardware.tap = tap_of(spec.network);
  hardware.isolated = spec.network == "isolated";
  return hardware;
}

}  // namespace kiln

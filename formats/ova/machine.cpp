#include "machine.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <kiln/error.h>
#include <kiln/text.h>

namespace kiln::ova {
namespace {

constexpr std::size_t longest_name = 60, longest_os = 100;
constexpr std::uint64_t mib = 1 << 20, most_memory = 24ull << 20;  // 24 TiB, in MiB: of VMware's products
constexpr unsigned most_cpus = 255;

std::string fact(const Facts& known, const char* name) {
  const auto it = known.find(name);
  return it == known.end() ? "" : it->second;
}

std::optional<std::uint64_t> number(const std::string& text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
  return value;
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/// A name of a file on every system.
std::string plain(std::string name) {
  for (char& c : name)
    if (!is_plain(c)) c = '-';
  const std::size_t first = std::min(name.find_first_not_of("-."), name.size());
  return name.substr(first, longest_name);
}

std::string name_of(const Options& options, const Facts& known) {
  if (!options.name.empty()) {
    if (plain(options.name) != options.name)
      throw invalid("\"" + printable(options.name) + "\" is no name for the files of an OVA",
                    "take up to 60 letters, digits, \"-\", \"_\" and \".\", the first a letter or a digit");
    return options.name;
  }
  const std::string name = plain(fact(known, "origin.name"));
  return name.empty() ? "machine" : name;
}

std::uint64_t memory_of(const Options& options, const Facts& known) {
  constexpr std::uint64_t usual = 2048;
  const std::uint64_t had = number(fact(known, "machine.memory"), mib, most_memory * mib).value_or(usual * mib);
  const std::uint64_t bytes = options.memory.count != 0 ? options.memory.count : had;
  if (bytes > most_memory * mib)
    throw invalid("a machine of " + format_bytes(bytes) + " of memory is too large for an OVA", "24 TiB are the most");
  return (bytes + 4 * mib - 1) / (4 * mib) * 4;
}

unsigned cpus_of(const Options& options, const Facts& known) {
  if (options.cpus < 0 || options.cpus > most_cpus)
    throw invalid("a machine cannot have " + std::to_string(options.cpus) + " processors", "give 1 to 255");
  if (options.cpus != 0) return static_cast<unsigned>(options.cpus);
  return static_cast<unsigned>(number(fact(known, "machine.cpus"), 1, most_cpus).value_or(2));
}

}  // namespace

Machine machine_of(const Options& options, const Facts& known) {
  Machine out{.name = name_of(options, known), .nic = {}, .os = {}};
  out.cpus = cpus_of(options, known);
  out.memory = memory_of(options, known);
  const std::string firmware =
      options.firmware == "image" ? fact(known, "boot.firmware") : options.firmware;  // "bios,uefi": either
  out.secure = firmware == "secure";
  out.uefi = out.secure || firmware == "uefi";
  out.sata = options.controller == "sata";
  out.nic = options.nic == "e1000" ? "E1000" : options.nic == "e1000e" ? "E1000e" : "VmxNet3";
  std::string os = options.os;
  for (const char* name : {"os.product", "origin.os", "os.distro"})
    if (os.empty()) os = fact(known, name);
  out.os = printable(os, longest_os);
  return out;
}

}  // namespace kiln::ova

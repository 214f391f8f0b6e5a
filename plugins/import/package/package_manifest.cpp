#include "package/package_manifest.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

#include <kiln/finding.h>

namespace kiln::import {
namespace {

constexpr std::uint64_t most_bytes = 1 << 20;

struct Known {
  std::string_view name;
  Algorithm algorithm;
  std::size_t digits;
};
constexpr std::array algorithms{Known{"SHA1", Algorithm::sha1, 40}, Known{"SHA256", Algorithm::sha256, 64},
                                Known{"SHA512", Algorithm::sha512, 128}};

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// "SHA256" as it stands, "SHA-256" and "sha256" as some write it.
const Known* algorithm_of(std::string_view word) {
  std::string plain = lower(word);
  std::erase(plain, '-');
  const auto known = std::ranges::find_if(algorithms, [&](const Known& k) { return lower(k.name) == plain; });
  return known == algorithms.end() ? nullptr : &*known;
}

/// `SHA256(name)= digest`; VirtualBox has a space before the bracket. A name may have brackets of its own.
std::optional<ManifestLine> parsed(std::string_view line) {
  const std::size_t open = line.find('('), equals = line.rfind('=');
  if (open == std::string_view::npos || equals == std::string_view::npos || equals < open) return std::nullopt;
  const Known* known = algorithm_of(trimmed(line.substr(0, open)));
  const std::string_view name = trimmed(line.substr(open + 1, equals - open - 1));
  const std::string digest = lower(trimmed(line.substr(equals + 1)));
  if (known == nullptr || name.size() < 2 || name.back() != ')' || digest.size() != known->digits ||
      digest.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::nullopt;
  return ManifestLine{std::string(name.substr(0, name.size() - 1)), known->algorithm, digest};
}

Error wrong(const File& file, const std::string& what, std::size_t number, std::string_view line) {
  return refused(file.path().string() + " " + what, "get the whole package again from whoever made it",
                 {"line " + std::to_string(number) + ": " + in_quotes(line)})
      .as(code::manifest);
}

}  // namespace

std::string name_of(Algorithm algorithm) {
  for (const Known& known : algorithms)
    if (known.algorithm == algorithm) return std::string(known.name);
  return {};
}

std::vector<ManifestLine> lines_of_manifest(const File& file) {
  const std::uint64_t size = file.size();
  if (size > most_bytes)
    throw refused(file.path().string() + " is too large for a manifest", "is it the right file?",
                  {std::to_string(size) + " bytes, at most " + std::to_string(most_bytes) + " are read"})
        .as(code::manifest);
  std::string text(size, '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  std::vector<ManifestLine> lines;
  std::set<std::string> seen;
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (trimmed(line).empty()) continue;
    std::optional<ManifestLine> one = parsed(line);
    if (!one) throw wrong(file, "has a line that is no digest of a file", number, line);
    if (!seen.insert(name_of(one->algorithm) + ' ' + one->name).second)
      throw wrong(file, "has a file twice", number, line);
    one->number = number;
    lines.push_back(std::move(*one));
  }
  return lines;
}

}  // namespace kiln::import

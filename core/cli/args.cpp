#include "cli/args.h"

#include <charconv>

#include <fmt/format.h>

namespace kiln::cli {

std::string Args::text(std::string_view name, std::string_view fallback) const {
  const auto it = values_.find(name);
  return it == values_.end() ? std::string(fallback) : it->second.back();
}

const std::vector<std::string>& Args::all(std::string_view name) const {
  static const std::vector<std::string> none;
  const auto it = values_.find(name);
  return it == values_.end() ? none : it->second;
}

std::int64_t Args::integer(std::string_view name, std::int64_t fallback, std::int64_t least, std::int64_t most) const {
  if (!has(name)) return fallback;
  const std::string given = text(name);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (error != std::errc{} || end != given.data() + given.size() || value < least || value > most)
    throw invalid(fmt::format("--{} takes a number from {} to {}, not \"{}\"", name, least, most, given),
                  fmt::format("for example --{} {}", name, fallback));
  return value;
}

Bytes Args::size(std::string_view name, Bytes fallback) const {
  if (!has(name)) return fallback;
  const auto parsed = parse_bytes(text(name));
  if (!parsed)
    throw invalid(fmt::format("--{} takes a size, not \"{}\"", name, text(name)),
                  fmt::format("for example --{} 2G", name));
  return *parsed;
}

Duration Args::duration(std::string_view name, Duration fallback) const {
  if (!has(name)) return fallback;
  const auto parsed = parse_duration(text(name));
  if (!parsed)
    throw invalid(fmt::format("--{} takes a duration, not \"{}\"", name, text(name)),
                  fmt::format("for example --{} 90s", name));
  return *parsed;
}

std::vector<std::pair<std::string, std::string>> Args::pairs(std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> split;
  for (const std::string& given : all(name)) {
    const auto equals = given.find('=');
    if (equals == std::string::npos || equals == 0)
      throw invalid(fmt::format("--{} takes key=value, not \"{}\"", name, given),
                    fmt::format("for example --{} NAME=VALUE", name));
    split.emplace_back(given.substr(0, equals), given.substr(equals + 1));
  }
  return split;
}

}  // namespace kiln::cli

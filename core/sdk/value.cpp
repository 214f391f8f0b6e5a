#include <kiln/value.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace kiln {
namespace {

struct Number {
  double value;
  std::size_t length;
};

/// Digits with at most one point; from_chars, because the locale may have a comma.
std::optional<Number> leading_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || text.front() == '-' || !std::isfinite(value)) return std::nullopt;
  return Number{value, static_cast<std::size_t>(end - text.data())};
}

std::string one_decimal(double value, std::string_view unit) {
  const auto tenths = static_cast<std::uint64_t>(std::llround(value * 10));
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + ' ' + std::string(unit);
}

void quote(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escape.data();
    } else {
      out += c;
    }
  }
  out += '"';
}

struct Canonical {
  std::string& out;

  void operator()(bool v) const { out += v ? "true" : "false"; }
  void operator()(std::int64_t v) const { out += std::to_string(v); }
  void operator()(const std::string& v) const { quote(out, v); }
  void operator()(Bytes v) const { out += std::to_string(v.count) + "B"; }
  void operator()(Duration v) const { out += std::to_string(v.count()) + "ms"; }
  void operator()(const std::filesystem::path& v) const { quote(out, v.string()); }
  void operator()(const InputPath& v) const { quote(out, v.path.string()); }
  void operator()(const List& v) const {
    out += '[';
    for (std::size_t i = 0; i < v.size(); ++i) {
      if (i != 0) out += ',';
      std::visit(*this, v[i].v);
    }
    out += ']';
  }
  void operator()(const Table& v) const {
    out += '{';
    bool first = true;
    for (const auto& [name, value] : v) {
      if (!std::exchange(first, false)) out += ',';
      quote(out, name);
      out += '=';
      std::visit(*this, value.v);
    }
    out += '}';
  }
};

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before = std::exchange(row, next);
  }
  return row[b.size()];
}

}  // namespace

std::optional<Bytes> parse_bytes(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto number = leading_number(text);
  if (!number) return std::nullopt;
  std::string_view unit = text.substr(number->length);
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  static constexpr std::string_view letters = "KMGTPE";
  int power = 0;
  if (!unit.empty() && unit != "B") {
    const auto at = letters.find(unit.front() >= 'a' ? static_cast<char>(unit.front() - 32) : unit.front());
    const std::string_view rest = unit.substr(1);
    if (at == std::string_view::npos || (!rest.empty() && rest != "B" && rest != "iB")) return std::nullopt;
    power = static_cast<int>(at) + 1;
  }
  if (power == 0) {  // exact: a double holds only 53 bits
    std::uint64_t exact = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + number->length, exact);
    if (error != std::errc{} || end != text.data() + number->length) return std::nullopt;
    return Bytes{exact};
  }
  const double scaled = std::ldexp(number->value, 10 * power);
  if (scaled >= 18446744073709551616.0) return std::nullopt;
  return Bytes{static_cast<std::uint64_t>(scaled)};
}

std::optional<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const auto number = leading_number(text);
    if (!number) return std::nullopt;
    text.remove_prefix(number->length);
    double milliseconds = 0;
    if (text.starts_with("ms")) {
      milliseconds = 1;
      text.remove_prefix(2);
    } else if (!text.empty() && std::string_view("smhd").find(text.front()) != std::string_view::npos) {
      static constexpr std::array<double, 4> units{1000.0, 60'000.0, 3'600'000.0, 86'400'000.0};
      milliseconds = units[std::string_view("smhd").find(text.front())];
      text.remove_prefix(1);
    } else {
      return std::nullopt;
    }
    total += number->value * milliseconds;
  }
  if (total > 9e15) return std::nullopt;
  return Duration(std::llround(total));
}

std::string format_bytes(std::uint64_t count) {
  if (count < 1024) return std::to_string(count) + " B";
  static constexpr std::array<std::string_view, 6> units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(count) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return one_decimal(value, units[unit]);
}

std::string format_duration(Duration duration) {
  const auto ms = duration.count();
  if (ms < 59'950) return one_decimal(static_cast<double>(ms) / 1000, "s");
  const auto seconds = (ms + 500) / 1000;
  if (seconds < 3600) return std::to_string(seconds / 60) + " min " + std::to_string(seconds % 60) + " s";
  return std::to_string(seconds / 3600) + " h " + std::to_string(seconds % 3600 / 60) + " min";
}

std::string canonical(const Value& value) {
  std::string out;
  std::visit(Canonical{out}, value.v);
  return out;
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  std::optional<std::string> best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t d = distance(word, candidate);
    if (d < least && d < candidate.size()) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

}  // namespace kiln

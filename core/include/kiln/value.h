#pragma once
// The types a parameter can have, and how they are written and read as text.

#include <chrono>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <kiln/error.h>

namespace kiln {

/// A number of bytes. In a pipeline: `"20G"`, `"512M"`, `"1.5GiB"` or a plain integer; units are powers of 1024.
struct Bytes {
  std::uint64_t count = 0;
  auto operator<=>(const Bytes&) const = default;
};

/// A length of time. In a pipeline: `"90s"`, `"2m"`, `"1h30m"`, `"250ms"`.
using Duration = std::chrono::milliseconds;

/// A file or folder whose *content* matters: the cache key holds its digest, not its name. Absolute once loaded.
struct InputPath {
  std::filesystem::path path;
  auto operator<=>(const InputPath&) const = default;
};

struct Value;
using List = std::vector<Value>;
using Table = std::map<std::string, Value, std::less<>>;

/// One parameter's value, as read from a pipeline and handed to a Schema.
struct Value {
  std::variant<bool, std::int64_t, std::string, Bytes, Duration, std::filesystem::path, InputPath, List, Table> v;
  bool operator==(const Value&) const = default;
};

/// Reads "20G". Nothing when it is not a size or does not fit 64 bits.
KILN_API std::optional<Bytes> parse_bytes(std::string_view text);
/// Reads "1h30m". Nothing when it is not a duration, or negative.
KILN_API std::optional<Duration> parse_duration(std::string_view text);

/// "1.8 GiB": binary units, one decimal; whole bytes below 1 KiB.
KILN_API std::string format_bytes(std::uint64_t count);
/// "0.4 s", "2 min 10 s", "3 h 5 min".
KILN_API std::string format_duration(Duration);

/// Canonical text of a value: what a cache key hashes and `plan --why` compares. Same value, same text, on any host.
KILN_API std::string canonical(const Value&);

/// The nearest of `known` to a mistyped `word`, when it is near enough to suggest.
KILN_API std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace kiln

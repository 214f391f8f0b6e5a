#include "catalog/keep_rule.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>

#include <kiln/error.h>

namespace kiln {
namespace {

constexpr std::array<std::pair<Period, std::string_view>, 6> names{{{Period::last, "last"},
                                                                    {Period::hourly, "hourly"},
                                                                    {Period::daily, "daily"},
                                                                    {Period::weekly, "weekly"},
                                                                    {Period::monthly, "monthly"},
                                                                    {Period::yearly, "yearly"}}};
constexpr std::size_t most = 1'000'000;

std::string_view name_of(Period period) {
  return names[static_cast<std::size_t>(period)].second;
}

/// "hour", of which a version is the newest.
std::string_view span_of(Period period) {
  constexpr std::array<std::string_view, 6> spans{"", "hour", "day", "week", "month", "year"};
  return spans[static_cast<std::size_t>(period)];
}

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

std::optional<Period> period(std::string_view text) {
  for (const auto& [known, name] : names)
    if (name == text) return known;
  return std::nullopt;
}

/// What two moments share when they lie in the same period.
std::string period_of(const Moment& moment, Period period) {
  if (period == Period::last) return moment;
  const std::time_t seconds = unix_time(moment);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  constexpr std::array<const char*, 6> formats{"", "%Y-%m-%dT%H", "%Y-%m-%d", "%G-W%V", "%Y-%m", "%Y"};
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), formats[static_cast<std::size_t>(period)], &utc);
  return text.data();
}

}  // namespace

KeepRule::KeepRule(std::size_t count) : parts_{{Period::last, count}} {}

KeepRule KeepRule::parse(std::string_view given) {
  if (const auto count = number(given)) return KeepRule(*count);
  KeepRule rule;
  for (std::size_t at = 0; at <= given.size();) {
    const std::size_t end = std::min(given.find(',', at), given.size());
    const std::string_view part = given.substr(at, end - at);
    const std::size_t equals = part.find('=');
    const auto span = period(part.substr(0, equals));
    const auto count = equals == part.npos ? std::nullopt : number(part.substr(equals + 1));
    if (!span || !count)
      throw invalid("\"" + std::string(given) + "\" does not say how many versions to keep",
                    "give a number, or for example hourly=24,daily=7,weekly=4,monthly=12,yearly=3,last=2");
    rule.parts_.emplace_back(*span, *count);
    at = end + 1;
  }
  return rule;
}

std::string KeepRule::text() const {
  std::string all;
  for (const auto& [span, count] : parts_) {
    if (!all.empty()) all += ", ";
    all += span == Period::last ? "the newest " + std::to_string(count)
                                : std::string(name_of(span)) + " " + std::to_string(count);
  }
  return all;
}

std::string KeepRule::Round::reason(const Moment& created) {
  std::string why;
  for (const auto& [span, count] : rule_.parts_) {
    std::set<std::string>& seen = seen_[static_cast<std::size_t>(span)];
    // Two versions of one second are two of the newest.
    const std::string key = period_of(created, span) + (span == Period::last ? "/" + std::to_string(seen.size()) : "");
    const bool stays = seen.size() < count && seen.insert(key).second;
    if (stays && why.empty())
      why = span == Period::last ? "one of the newest " + std::to_string(count)
                                 : "the newest of its " + std::string(span_of(span));
  }
  return why;
}

bool KeepRule::Round::is_over() const {
  for (const auto& [span, count] : rule_.parts_)
    if (seen_[static_cast<std::size_t>(span)].size() < count) return false;
  return true;
}

}  // namespace kiln

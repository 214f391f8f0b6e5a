#include "catalog/lifecycle.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include <kiln/value.h>

namespace kiln {
namespace {

constexpr std::time_t last_moment = 253402300799;  // 9999-12-31T23:59:59Z: later years have more digits

bool reached(const Moment& moment, const Moment& now) {
  return !moment.empty() && moment <= now;
}

/// Moments are compared as texts, so each has a place for each digit, and strptime() takes fewer, and blanks. Years
/// before 1970 are slips of the pen, and those before 1000 would lose their zeros when they are written.
bool is_padded(std::string_view text) {
  static constexpr std::string_view form = "0000-00-00T00:00:00Z";
  if (text.size() > form.size() || text < "1970") return false;
  return std::equal(text.begin(), text.end(), form.begin(), [](char given, char wanted) {
    return wanted == '0' ? given >= '0' && given <= '9' : given == wanted;
  });
}

/// "+30d": days are not among the durations of pipelines.
std::time_t seconds_of(const std::string& text) {
  if (text.ends_with('d')) {
    const auto days = parse_duration(text.substr(0, text.size() - 1) + "h");
    return days ? static_cast<std::time_t>(days->count() / 1000 * 24) : -1;
  }
  const auto duration = parse_duration(text);
  return duration ? static_cast<std::time_t>(duration->count() / 1000) : -1;
}

}  // namespace

Moment moment_at(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

Moment now_moment() {
  // A list of ten thousand images asks for each of them.
  thread_local std::pair<std::time_t, Moment> last{0, {}};
  if (const std::time_t now = std::time(nullptr); now != last.first) last = {now, moment_at(now)};
  return last.second;
}

Moment later(const Moment& moment, std::chrono::seconds by) {
  return moment_at(std::min<std::int64_t>(unix_time(moment) + by.count(), last_moment));
}

Moment parse_moment(std::string_view text) {
  const std::string given(text);
  if (given == "now") return now_moment();
  if (given.starts_with('+')) {
    const std::time_t later = seconds_of(given.substr(1)), now = std::time(nullptr);
    if (later >= 0 && later <= last_moment - now) return moment_at(now + later);
  }
  std::tm parts{};
  for (const char* form : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
    parts = {};
    const char* end = ::strptime(given.c_str(), form, &parts);
    if (end == nullptr || *end != '\0' || !is_padded(given)) continue;
    // What mktime has to correct, such as February 30th, is no date.
    std::tm asked = parts;
    const Moment moment = moment_at(::timegm(&parts));
    if (asked.tm_mday == parts.tm_mday && asked.tm_mon == parts.tm_mon) return moment;
  }
  throw invalid("\"" + given + "\" is no date", "write 2026-12-31, 2026-12-31T18:00:00Z, now, or +30d");
}

std::int64_t unix_time(const Moment& moment) {
  std::tm parts{};
  const char* end = ::strptime(moment.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0')
    throw Error("the catalog's records hold \"" + moment + "\" for a moment", "restore them from a backup");
  return ::timegm(&parts);
}

std::string_view to_text(ImageState state) {
  switch (state) {
    case ImageState::creating:
      return "creating";
    case ImageState::available:
      return "available";
    case ImageState::deprecated:
      return "deprecated";
    case ImageState::obsolete:
      return "obsolete";
    case ImageState::revoked:
      return "revoked";
    case ImageState::trashed:
      return "trashed";
    case ImageState::failed:
      return "failed";
  }
  return "";
}

bool Lifecycle::is_over(const Moment& now) const {
  return reached(purge_at, now);
}

ImageState Lifecycle::at(const Moment& now) const {
  if (!trashed_at.empty()) return ImageState::trashed;
  if (making == Making::creating) return ImageState::creating;
  if (making == Making::failed) return ImageState::failed;
  if (reached(revoked_at, now) || ancestor_revoked) return ImageState::revoked;
  if (reached(obsolete_at, now)) return ImageState::obsolete;
  if (reached(deprecated_at, now)) return ImageState::deprecated;
  return ImageState::available;
}

}  // namespace kiln

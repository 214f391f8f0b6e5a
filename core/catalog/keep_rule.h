#pragma once
// How many versions of an image are kept: so many of the newest, or the last of each hour, day, week, month, year.
//
// Calendars are UTC; a week is of ISO 8601 and begins on Monday.

#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/lifecycle.h"

namespace kiln {

enum class Period { last, hourly, daily, weekly, monthly, yearly };

/// "hourly=24,daily=7,weekly=4": of each of the last 24 hours in which there are any the newest, and so on. What one of
/// the parts keeps is kept.
class KeepRule {
 public:
  /// The newest `count`.
  explicit KeepRule(std::size_t count);
  /// Reads "3", "last=3", "hourly=24,daily=7". Throws invalid() that says what may be given.
  static KeepRule parse(std::string_view);

  /// "the newest 3", "hourly 24, daily 7": for people.
  std::string text() const;

  /// Asked about one version after the other, the newest first.
  class Round {
   public:
    explicit Round(const KeepRule& rule) : rule_(rule) {}
    /// Why it stays: "one of the newest 3", "the newest of its hour"; empty: by this rule it goes.
    std::string reason(const Moment& created);
    /// Whether any version may still stay for its age alone: of what lies between two that stay, some may.
    bool is_over() const;

   private:
    const KeepRule& rule_;
    std::array<std::set<std::string>, 6> seen_ = {};
  };

 private:
  KeepRule() = default;
  std::vector<std::pair<Period, std::size_t>> parts_;
};

}  // namespace kiln

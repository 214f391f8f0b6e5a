#include "cli/text_diff.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include <fmt/format.h>
#include <kiln/text.h>

namespace kiln::cli {
namespace {

constexpr std::size_t context = 3, most_compared = 2000, longest_line = 400;

using Lines = std::vector<std::string_view>;

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// One line of the result: ' ' in both, '-' in the first, '+' in the second.
struct Step {
  char sign;
  std::string_view line;
};

/// The longest common subsequence, by its table: small parts only.
void compare(std::span<const std::string_view> a, std::span<const std::string_view> b, std::vector<Step>& steps) {
  const std::size_t width = b.size() + 1;
  std::vector<std::uint16_t> length((a.size() + 1) * width);
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      length[i * width + j] = a[i] == b[j] ? static_cast<std::uint16_t>(length[(i + 1) * width + j + 1] + 1)
                                           : std::max(length[(i + 1) * width + j], length[i * width + j + 1]);
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i] == b[j]) {
      steps.push_back({' ', a[i]});
      ++i, ++j;
    } else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) {
      steps.push_back({'-', a[i++]});
    } else {
      steps.push_back({'+', b[j++]});
    }
  }
  for (; i < a.size(); ++i) steps.push_back({'-', a[i]});
  for (; j < b.size(); ++j) steps.push_back({'+', b[j]});
}

std::vector<Step> steps_of(const Lines& a, const Lines& b) {
  std::vector<Step> steps;
  std::size_t head = 0, tail = 0;
  const std::size_t shorter = std::min(a.size(), b.size());
  while (head < shorter && a[head] == b[head]) ++head;
  while (tail < shorter - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  for (std::size_t i = 0; i < head; ++i) steps.push_back({' ', a[i]});
  const auto middle_a = std::span(a).subspan(head, a.size() - head - tail);
  const auto middle_b = std::span(b).subspan(head, b.size() - head - tail);
  if (middle_a.size() <= most_compared && middle_b.size() <= most_compared) {
    compare(middle_a, middle_b, steps);
  } else {
    for (const std::string_view line : middle_a) steps.push_back({'-', line});
    for (const std::string_view line : middle_b) steps.push_back({'+', line});
  }
  for (std::size_t i = a.size() - tail; i < a.size(); ++i) steps.push_back({' ', a[i]});
  return steps;
}

/// Steps that are shown together: what differs, with the context around it.
struct Hunk {
  std::size_t begin, end;
};

std::vector<Hunk> hunks_of(const std::vector<Step>& steps) {
  std::vector<Hunk> hunks;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].sign == ' ') continue;
    const std::size_t begin = i - std::min(i, context), end = std::min(i + 1 + context, steps.size());
    if (!hunks.empty() && begin <= hunks.back().end)
      hunks.back().end = end;
    else
      hunks.push_back({begin, end});
  }
  return hunks;
}

/// How many of the steps are lines of the first text, or of the second.
std::size_t lines_in(std::span<const Step> steps, char only_in_the_other) {
  return static_cast<std::size_t>(
      std::ranges::count_if(steps, [&](const Step& step) { return step.sign != only_in_the_other; }));
}

/// "@@ -1,4 +1,5 @@": the first line, counted from 1, or the one before an empty range, and how many there are.
std::string hunk_head(std::span<const Step> before, std::span<const Step> hunk) {
  const std::size_t at_a = lines_in(before, '+'), at_b = lines_in(before, '-');
  const std::size_t count_a = lines_in(hunk, '+'), count_b = lines_in(hunk, '-');
  return fmt::format("@@ -{},{} +{},{} @@", count_a == 0 ? at_a : at_a + 1, count_a, count_b == 0 ? at_b : at_b + 1,
                     count_b);
}

}  // namespace

std::vector<std::string> unified_diff(const std::string& name_a, const std::string& name_b, std::string_view a,
                                      std::string_view b, std::size_t most) {
  if (a == b) return {};
  const std::vector<Step> steps = steps_of(lines_of(a), lines_of(b));
  std::vector<std::string> out{"--- " + printable(name_a), "+++ " + printable(name_b)};
  for (const Hunk& hunk : hunks_of(steps)) {
    const auto shown = std::span(steps).subspan(hunk.begin, hunk.end - hunk.begin);
    out.push_back(hunk_head(std::span(steps).first(hunk.begin), shown));
    for (const Step& step : shown) {
      if (out.size() > most) {
        out.emplace_back("… more lines differ");
        return out;
      }
      out.push_back(step.sign + printable(step.line, longest_line));
    }
  }
  if (out.size() == 2) out.emplace_back("(they differ in the line end at the end of the file only)");
  return out;
}

}  // namespace kiln::cli

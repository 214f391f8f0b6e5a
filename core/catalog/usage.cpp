#include "catalog/usage.h"

#include <algorithm>
#include <map>

#include <kiln/error.h>

namespace kiln {
namespace {

constexpr Wide billion = 1'000'000'000;
constexpr std::int64_t hour = 3600;

std::string digits_of(Wide number) {
  std::string out;
  do out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(number % 10)));
  while ((number /= 10) != 0);
  return out;
}

void add(Usage& usage, const UsageSample& sample, std::int64_t seconds) {
  usage.unique += Wide(sample.unique) * seconds;
  usage.common += Wide(sample.common) * seconds;
  usage.logical += Wide(sample.logical) * seconds;
  usage.images += Wide(sample.images) * seconds;
}

Error no_month(std::string_view month) {
  return invalid("\"" + std::string(month) + "\" is no month", "write it as in 2026-11");
}

}  // namespace

std::int64_t Period::seconds() const {
  return unix_time(to) - unix_time(from);
}

Period month_period(std::string_view month) {
  const std::string text(month);
  const bool formed = text.size() == 7 && text[4] == '-' &&
                      text.find_first_not_of("0123456789-") == std::string::npos && std::ranges::count(text, '-') == 1;
  if (!formed) throw no_month(month);
  const int year = std::stoi(text.substr(0, 4)), number = std::stoi(text.substr(5));
  if (number < 1 || number > 12 || year < 1970 || year > 9998) throw no_month(month);
  const auto first_of = [](int y, int m) {
    return std::to_string(y) + (m < 10 ? "-0" : "-") + std::to_string(m) + "-01T00:00:00Z";
  };
  return {first_of(year, number), number == 12 ? first_of(year + 1, 1) : first_of(year, number + 1)};
}

std::vector<Period> hours_of(const Period& period) {
  std::vector<Period> out;
  const std::int64_t end = unix_time(period.to);
  for (std::int64_t at = unix_time(period.from); at < end;) {
    const std::int64_t next = std::min(end, (at / hour + 1) * hour);
    out.push_back({moment_at(at), moment_at(next)});
    at = next;
  }
  return out;
}

std::vector<Usage> usage_in(const std::vector<UsageSample>& samples, const Period& period) {
  std::map<std::pair<std::string, std::string>, std::vector<const UsageSample*>> by_owner;
  for (const UsageSample& sample : samples) by_owner[{sample.region, sample.owner}].push_back(&sample);
  const std::int64_t begin = unix_time(period.from), end = unix_time(period.to);
  std::vector<Usage> out;
  for (const auto& [key, steps] : by_owner) {
    Usage usage{key.first, key.second};
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::int64_t from = std::max(begin, unix_time(steps[i]->moment));
      const std::int64_t to = i + 1 < steps.size() ? std::min(end, unix_time(steps[i + 1]->moment)) : end;
      if (from < to) add(usage, *steps[i], to - from);
    }
    if (usage.stored() != 0 || usage.images != 0 || usage.logical != 0) out.push_back(std::move(usage));
  }
  return out;
}

std::string Fraction::text(unsigned decimals) const {
  Wide scale = 1;
  for (unsigned i = 0; i < decimals; ++i) scale *= 10;
  // In two steps, because `over` alone may be near the end of what fits.
  const Wide whole = over / under, rest = over % under;
  const Wide scaled = whole * scale + (rest * scale + under / 2) / under;
  std::string text = digits_of(scaled);
  if (decimals == 0) return text;
  if (text.size() <= decimals) text.insert(0, decimals + 1 - text.size(), '0');
  return text.insert(text.size() - decimals, ".");
}

Fraction Bill::total() const {
  return {storage.over + images.over, storage.under};
}

Bill bill_of(const Usage& usage, const Tariff& tariff, const Period& month) {
  const Wide seconds = month.seconds(), gb_month = billion * seconds;
  const Wide billed = std::max<Wide>(0, usage.stored() - Wide(tariff.free_bytes) * seconds);
  // One denominator for both kinds of money, so that they add up: (GB-months or image-months) * billionths.
  const Wide under = gb_month * billion;
  return {.gb_months = {usage.stored(), gb_month},
          .billed_gb_months = {billed, gb_month},
          .image_months = {usage.images, seconds},
          .storage = {billed * tariff.per_gb_month.value_or(0), under},
          .images = {usage.images * billion * tariff.per_image_month.value_or(0), under}};
}

}  // namespace kiln

#pragma once
// What was kept, and what it costs: byte-hours of a stretch of time from samples, and a bill from byte-hours. Whole
// numbers only; nothing is rounded before it is written out.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/usage_records.h"

namespace kiln {

/// A petabyte for a month, in byte-seconds, times a price does not fit 64 bits.
__extension__ typedef __int128 Wide;  // NOLINT(modernize-use-using): __extension__ wants it so

/// From `from` on, up to and without `to`. UTC, so that every day has 24 hours.
struct Period {
  Moment from, to;
  std::int64_t seconds() const;
};

/// "2026-11": the whole month. Throws invalid().
Period month_period(std::string_view month);
/// The full hours of a period; the last one may be cut short.
std::vector<Period> hours_of(const Period&);

/// What one owner kept in one region. Each is the sum of what there was, times the seconds for which it was there.
struct Usage {
  std::string region, owner;
  Wide unique = 0, common = 0, logical = 0;  ///< byte-seconds; see UsageSample
  Wide images = 0;                           ///< image-seconds
  Wide stored() const { return unique + common; }
};

/// By region and owner, those who kept something. `samples`: as UsageRecords::samples() gives them for the period.
std::vector<Usage> usage_in(const std::vector<UsageSample>& samples, const Period&);

/// A fraction, kept exact.
struct Fraction {
  Wide over = 0, under = 1;
  /// With that many decimals, half of the last one rounded away from zero: "12.35".
  std::string text(unsigned decimals) const;
};

/// Prices are in billionths of the currency. A GB is 10^9 bytes.
struct Tariff {
  std::uint64_t free_bytes = 50'000'000'000;  ///< stored all month long
  std::optional<std::int64_t> per_gb_month = {}, per_image_month = {};
  bool has_prices() const { return per_gb_month || per_image_month; }
};

/// Of one owner and region, for what was kept of a month so far.
struct Bill {
  Fraction gb_months;         ///< stored: unique and the share of what is common
  Fraction billed_gb_months;  ///< less the free tier
  Fraction image_months;
  Fraction storage, images;  ///< money
  Fraction total() const;
};

/// `month`: the whole one, which the free tier and the prices are for.
Bill bill_of(const Usage&, const Tariff&, const Period& month);

}  // namespace kiln

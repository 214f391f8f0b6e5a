// kiln usage: what was kept in a month, and what it costs.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/store.h"
#include "catalog/usage.h"
#include "catalog/usage_meter.h"
#include "cli/output.h"
#include "cli/regions.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

constexpr unsigned gb_decimals = 6, money_decimals = 4;

/// One line of the answer: column names and values, as text. Numbers are exact, so JSON gets those with a point as
/// text, too.
struct Line {
  std::vector<std::pair<std::string, std::string>> values;
};

struct Question {
  Period month, period;  ///< the whole month, and what there was of it until now
  Tariff tariff;
  std::string currency;
  bool hourly;
};

/// As whom the usage is asked for; empty: everybody's.
std::string owner_of(const Args& args, const Account& account) {
  if (!args.has("owner")) return account.is_operator ? "" : account.name;
  std::string owner = args.text("owner");
  if (!account.is_operator && owner != account.name)
    throw refused("only the catalog's operator may see what others keep", "leave --owner out, for your own usage");
  return owner;
}

std::vector<UsageSample> settled_samples(const CatalogView& view, const std::string& region, const Period& period) {
  Store& store = view.store();
  {
    const FileLock keep = store.keep_files();
    settle_usage(store);
  }
  std::vector<UsageSample> samples = store.usage.samples(period.from, period.to);
  for (UsageSample& sample : samples) sample.region = region;
  return samples;
}

/// Of this home's catalog and of every region: a catalog meters itself, a bucket's objects say what was there.
std::vector<UsageSample> samples_of(Call& call, const Period& period) {
  std::vector<std::string> names;
  if (call.args.has("region"))
    names.push_back(call.args.text("region"));
  else
    for (const RegionPlace& place : region_places(call.services)) names.push_back(place.name);
  std::vector<UsageSample> all;
  for (const std::string& name : names) {
    const OpenedRegion region = open_place(call.services, name);
    const auto samples =
        region.bucket ? region.bucket->usage(period.from) : settled_samples(region.folder->view(), name, period);
    all.insert(all.end(), samples.begin(), samples.end());
  }
  return all;
}

Question question_of(Call& call) {
  const engine::Billing& billing = call.services.config().billing;
  const Moment now = now_moment();
  const Period month = month_period(call.args.text("month", now.substr(0, 7)));
  Question out{month, {month.from, std::min(month.to, now)}, {}, billing.currency, call.args.has("hourly")};
  if (billing.free_gb) out.tariff.free_bytes = static_cast<std::uint64_t>(*billing.free_gb);
  out.tariff.per_gb_month = billing.per_gb_month;
  out.tariff.per_image_month = billing.per_image_month;
  return out;
}

std::string in_hours(Wide seconds) {
  return Fraction{seconds, 3600}.text(0);
}

void add_usage(Line& line, const Usage& usage) {
  line.values = {{"owner", usage.owner},
                 {"region", usage.region},
                 {"unique_byte_hours", in_hours(usage.unique)},
                 {"common_byte_hours", in_hours(usage.common)},
                 {"stored_byte_hours", in_hours(usage.stored())},
                 {"logical_byte_hours", in_hours(usage.logical)},
                 {"image_hours", in_hours(usage.images)}};
}

Line bill_line(const Usage& usage, const Question& question) {
  Line line;
  add_usage(line, usage);
  const Bill bill = bill_of(usage, question.tariff, question.month);
  line.values.emplace_back("gb_months", bill.gb_months.text(gb_decimals));
  line.values.emplace_back("billed_gb_months", bill.billed_gb_months.text(gb_decimals));
  if (!question.tariff.has_prices()) return line;
  line.values.emplace_back("storage_cost", bill.storage.text(money_decimals));
  line.values.emplace_back("image_cost", bill.images.text(money_decimals));
  line.values.emplace_back("total_cost", bill.total().text(money_decimals));
  return line;
}

std::vector<Line> lines_of(const std::vector<UsageSample>& samples, const Question& question) {
  std::vector<Line> out;
  if (!question.hourly) {
    for (const Usage& usage : usage_in(samples, question.period)) out.push_back(bill_line(usage, question));
    return out;
  }
  for (const Period& hour : hours_of(question.period))
    for (const Usage& usage : usage_in(samples, hour)) {
      Line line;
      add_usage(line, usage);
      line.values.insert(line.values.begin(), {"hour", hour.from});
      out.push_back(std::move(line));
    }
  return out;
}

/// Whole numbers that fit are numbers; the rest is text, because a JSON number of many programs is a floating one.
Json value_json(const std::string& name, const std::string& value) {
  if (name.ends_with("_hours") && value.size() < 16) return std::stoll(value);
  return value;
}

Json answer_json(const std::vector<Line>& lines, const Question& question) {
  Json rows = Json::array();
  for (const Line& line : lines) {
    Json row = Json::object();
    for (const auto& [name, value] : line.values) row[name] = value_json(name, value);
    rows.push_back(std::move(row));
  }
  Json json = {{"month", question.month.from.substr(0, 7)},
               {"from", question.period.from},
               {"to", question.period.to},
               {"free_gb", Fraction{Wide(question.tariff.free_bytes), 1'000'000'000}.text(gb_decimals)}};
  if (question.tariff.has_prices() && !question.currency.empty()) json["currency"] = question.currency;
  json["usage"] = std::move(rows);
  return json;
}

/// RFC 4180. Names of accounts and regions need no quotes; there is a header also when there is no line.
void answer_csv(Output& out, const std::vector<Line>& lines, const Question& question) {
  Line header = question.hourly ? Line{{{"hour", ""}}} : Line{};
  Line columns = bill_line({}, question);
  if (question.hourly) columns.values.resize(7);
  header.values.insert(header.values.end(), columns.values.begin(), columns.values.end());
  std::vector<std::string> words;
  for (const auto& [name, value] : header.values) words.push_back(name);
  out.raw(fmt::format("{}\r\n", fmt::join(words, ",")));
  for (const Line& line : lines) {
    words.clear();
    for (const auto& [name, value] : line.values) words.push_back(value);
    out.raw(fmt::format("{}\r\n", fmt::join(words, ",")));
  }
}

void answer_text(Output& out, const std::vector<Line>& lines, const Question& question) {
  if (lines.empty()) return out.line("nothing was kept in " + question.month.from.substr(0, 7));
  TextTable table;
  for (const auto& [name, value] : lines.front().values) {
    std::string heading = name == "owner" || name == "region" || name == "hour" ? name : ">" + name;
    std::ranges::transform(heading, heading.begin(),
                           [](unsigned char c) { return c == '_' ? '-' : static_cast<char>(std::toupper(c)); });
    if (name.ends_with("_cost") && !question.currency.empty()) heading += " " + question.currency;
    table.headings.push_back(heading);
  }
  for (const Line& line : lines) {
    std::vector<std::string> row;
    for (const auto& [name, value] : line.values) row.push_back(value);
    table.rows.push_back(std::move(row));
  }
  out.table(table);
}

}  // namespace

int run_usage(Call& call) {
  if (call.out.json() && call.args.has("csv"))
    throw invalid("kiln usage: --json and --csv do not go together", "leave one of them out");
  const Question question = question_of(call);
  const CatalogView view = call.services.catalog().view();
  const std::string owner = owner_of(call.args, view.account());
  std::vector<UsageSample> samples = samples_of(call, question.period);
  if (!owner.empty()) std::erase_if(samples, [&](const UsageSample& sample) { return sample.owner != owner; });
  const std::vector<Line> lines = lines_of(samples, question);
  if (call.out.json())
    call.out.object(answer_json(lines, question));
  else if (call.args.has("csv"))
    answer_csv(call.out, lines, question);
  else
    answer_text(call.out, lines, question);
  return 0;
}

}  // namespace kiln::cli

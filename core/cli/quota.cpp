// kiln quota: how much an account may store.
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/quotas.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

constexpr std::uint64_t most_bytes = std::numeric_limits<std::int64_t>::max();  // that a record can hold

Json quota_json(const Quota& quota) {
  const auto limit = [](const std::optional<std::uint64_t>& value) { return value ? Json(*value) : Json(nullptr); };
  return {{"account", quota.owner},
          {"images", quota.images},
          {"max_images", limit(quota.max_images)},
          {"bytes", quota.used_bytes},
          {"reserved_bytes", quota.reserved_bytes},
          {"max_bytes", limit(quota.max_bytes)}};
}

std::string of_limit(const std::string& used, const std::optional<std::string>& limit) {
  return limit ? used + " of " + *limit : used;
}

std::vector<std::string> row_of(const Quota& quota) {
  std::optional<std::string> images, bytes;
  if (quota.max_images) images = std::to_string(*quota.max_images);
  if (quota.max_bytes) bytes = format_bytes(*quota.max_bytes);
  return {quota.owner, of_limit(std::to_string(quota.images), images),
          of_limit(format_bytes(quota.used_bytes + quota.reserved_bytes), bytes)};
}

}  // namespace

int run_quota_list(Call& call) {
  const std::vector<Quota> quotas = Quotas(call.services.catalog().view()).list();
  if (call.out.json()) {
    Json all = Json::array();
    for (const Quota& quota : quotas) all.push_back(quota_json(quota));
    call.out.object({{"quotas", all}});
    return 0;
  }
  if (quotas.empty()) {
    call.out.line("no quota is set");
    return 0;
  }
  TextTable table{{"ACCOUNT", ">IMAGES", ">STORED"}};
  for (const Quota& quota : quotas) table.rows.push_back(row_of(quota));
  call.out.table(table);
  return 0;
}

int run_quota_set(Call& call) {
  std::optional<std::uint64_t> images, bytes;
  if (call.args.has("images")) images = static_cast<std::uint64_t>(call.args.integer("images", 0, 0, 1'000'000'000));
  if (call.args.has("bytes")) bytes = call.args.size("bytes", Bytes{0}).count;
  if (bytes && *bytes > most_bytes)
    throw invalid(fmt::format("--bytes takes at most {}", format_bytes(most_bytes)),
                  "leave --images and --bytes out for no limit");
  const std::string owner = call.args.text("ACCOUNT");
  const auto quota = Quotas(call.services.catalog().view()).set(owner, images, bytes);
  if (call.out.json()) {
    call.out.object({{"account", owner}, {"quota", quota ? quota_json(*quota) : Json(nullptr)}});
    return 0;
  }
  if (!quota) {
    call.out.line(fmt::format("{} may store as much as it likes", owner));
    return 0;
  }
  const auto row = row_of(*quota);
  call.out.line(fmt::format("{} has {} images, {} stored", row[0], row[1], row[2]));
  return 0;
}

}  // namespace kiln::cli

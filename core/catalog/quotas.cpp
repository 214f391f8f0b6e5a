#include "catalog/quotas.h"

#include "catalog/charge.h"
#include "catalog/names.h"

namespace kiln {

std::vector<Quota> Quotas::list() const {
  std::vector<Quota> out;
  for (const Quota& quota : view_.store().leases.quotas(home_region))
    if (view_.account().is_operator || quota.owner == view_.account().name)
      if (auto settled = settled_quota(view_.store(), quota.region, quota.owner)) out.push_back(std::move(*settled));
  return out;
}

std::optional<Quota> Quotas::set(const std::string& owner, std::optional<std::uint64_t> max_images,
                                 std::optional<std::uint64_t> max_bytes) {
  if (!view_.account().is_operator)
    throw refused("only the catalog's operator sets quotas", "see your own: kiln quota list");
  require_name("account", owner);
  view_.store().leases.set_quota(home_region, owner, max_images, max_bytes);
  return settled_quota(view_.store(), home_region, owner);
}

}  // namespace kiln

#pragma once
// Quotas as the accounts of a catalog meet them.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "catalog/lease_records.h"
#include "catalog/view.h"

namespace kiln {

class Quotas {
 public:
  explicit Quotas(CatalogView view) : view_(std::move(view)) {}

  /// One's own; the operator sees everybody's. With what is used, counted exactly.
  std::vector<Quota> list() const;
  /// For the operator; throws refused() for others. Two times nothing ends it. What an owner has already is kept, also
  /// when it is more. Returns the quota, nothing when it ended.
  std::optional<Quota> set(const std::string& owner, std::optional<std::uint64_t> max_images,
                           std::optional<std::uint64_t> max_bytes);

 private:
  CatalogView view_;
};

}  // namespace kiln

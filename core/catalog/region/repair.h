#pragma once
// Mending a catalog from a region that has the same content.

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/local_catalog.h"
#include "catalog/region/region.h"

namespace kiln {

struct RepairReport {
  std::uint64_t damaged = 0;  ///< what the verification found
  std::uint64_t fetched_chunks = 0, new_packs = 0, manifests = 0;
  /// What could not be mended, and why: the store is as it was there.
  std::vector<std::string> left;
};

/// Verifies the image, or for the operator the whole store, and mends what is damaged: a manifest is fetched; a pack is
/// written anew, from what is whole in it and from the region, and takes its place for every disk that is read from it,
/// in one transaction. All that comes from the region is compared with its digest. Whatever ends it leaves every disk
/// as it was or mended.
///
/// Throws refused() when the account may not change the image.
RepairReport repair(LocalCatalog&, std::optional<std::string_view> reference, const Region& from,
                    const VerifyOptions& = {});

}  // namespace kiln

#pragma once
// The regions of config.toml, and "local", the catalog of this home.

#include <memory>
#include <string>
#include <vector>

#include "catalog/region/bucket_region.h"
#include "catalog/region/region.h"
#include "cli/services.h"

namespace kiln::cli {

struct RegionPlace {
  std::string name, kind, place;  ///< kind: "folder", "bucket"
};

/// "local" first, then by name.
std::vector<RegionPlace> region_places(Services&);

/// A region as what it is: one of these, the other one is null.
struct OpenedRegion {
  std::shared_ptr<LocalCatalog> folder;
  std::unique_ptr<BucketRegion> bucket;
};

/// Throws as open_region(), and borrows as much.
OpenedRegion open_place(Services&, const std::string& name);

/// Throws invalid() with the nearest name when there is none, and Error when it cannot be reached. It borrows from the
/// services.
std::unique_ptr<Region> open_region(Services&, const std::string& name);

}  // namespace kiln::cli

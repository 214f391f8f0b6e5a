#pragma once
// The regions of config.toml, and "local", the catalog of this home.

#include <memory>
#include <string>
#include <vector>

#include "catalog/region/region.h"
#include "cli/services.h"

namespace kiln::cli {

struct RegionPlace {
  std::string name, kind, place;  ///< kind: "folder", "bucket"
};

/// "local" first, then by name.
std::vector<RegionPlace> region_places(Services&);

/// Throws invalid() with the nearest name when there is none, and Error when it cannot be reached. It borrows from the
/// services.
std::unique_ptr<Region> open_region(Services&, const std::string& name);

}  // namespace kiln::cli

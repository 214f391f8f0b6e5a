#pragma once
// Reads the store again and says what is damaged, and whom it harms.

#include <optional>

#include "catalog/local_catalog.h"
#include "catalog/store.h"

namespace kiln {

/// The whole store, or the disks of one image. Names images by id: of any account, so nobody is told before those that
/// he does not see are taken out.
VerifyReport verify_store(const Store&, const std::optional<Image>&, const VerifyOptions&);

}  // namespace kiln

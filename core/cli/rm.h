#pragma once
// What follows when instances are removed.

namespace kiln::cli {

class Services;

/// Tells the catalog what the instances that are left run from. An instance can be removed without the catalog: when it
/// cannot be told, that is a warning.
void tell_catalog(Services&);

}  // namespace kiln::cli

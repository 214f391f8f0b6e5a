#pragma once
// Lists of checksums, as publishers lay them beside their images, and the signatures that make them worth something.

#include <string>
#include <string_view>

#include <kiln/context.h>

#include "origin/digests.h"
#include "params.h"

namespace kiln::import {

/// What a list says of the file of that name: lines as sha256sum and sha512sum print them, those of BSD
/// ("SHA256 (name) = digest"), or nothing but one digest. Other digests, and lines of another kind, are passed over.
/// Throws refused() when two lines say different things of it, Error when none says anything.
Digests digests_in(std::string_view list, const std::string& file, const std::string& list_name);

/// What the file must be: by sha256 and sha512 of the parameters, and by the list of checksums, which is fetched, and
/// believed only when its signature is one of the key ring's. `file`: its name. Throws refused() when it is not, or
/// when the parameters and the list contradict each other.
Digests expected_digests(Context&, const Params&, const std::string& file);

}  // namespace kiln::import

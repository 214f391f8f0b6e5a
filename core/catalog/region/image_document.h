#pragma once
// An image as a JSON document: what a bucket keeps of it beside its content.

#include <string>
#include <string_view>

#include "catalog/image_entry.h"

namespace kiln {

/// All but channels, shares, protection and visibility.
std::string to_document(const ImageEntry&);

/// Checks names and digests: a document comes from outside. Throws Error when it is none.
ImageEntry from_document(std::string_view text);

}  // namespace kiln

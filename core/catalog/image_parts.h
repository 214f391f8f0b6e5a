#pragma once
// An image's contents: that of its system disk, and those of its parts.

#include <string>
#include <vector>

#include <kiln/catalog.h>

namespace kiln {

/// The system disk's first; none of an image that has no disk, one that failed.
std::vector<Digest> contents_of(const Image&);
bool has_content(const Image&, const Digest&);

/// Throws invalid(), naming those that there are.
const ImagePart& part_named(const Image&, const std::string& name);

/// The image as if the part were its only disk, for what reads an image's system disk.
Image disk_of(Image, const ImagePart&);

}  // namespace kiln

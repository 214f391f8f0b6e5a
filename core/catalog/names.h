#pragma once
// Names that people give: of images, versions and channels; and how they refer to an image.

#include <string>
#include <string_view>

#include <kiln/error.h>

namespace kiln {

/// Throws invalid() unless `text` is 1 to 128 letters, digits, ".", "_", "-", and does not start with "." or "-": safe
/// as a file name, an argument, and part of a reference. `what` is for the error: "image name".
void require_name(std::string_view what, std::string_view text);

/// What publishing a version a second time is answered with.
Error version_exists(const std::string& name, const std::string& version);

/// "name", "name:version" or "name:channel", each perhaps after "owner/".
struct Reference {
  std::string name, tag, owner = {};
};
Reference parse_reference(std::string_view);

}  // namespace kiln

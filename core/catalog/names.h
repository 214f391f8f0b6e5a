#pragma once
// Names that people give, of images, versions and channels, and what they write; and how they refer to an image.

#include <string>
#include <string_view>

#include <kiln/error.h>

namespace kiln {

/// Throws invalid() unless `text` is 1 to 128 letters, digits, ".", "_", "-", and does not start with "." or "-": safe
/// as a file name, an argument, and part of a reference. `what` is for the error: "image name".
void require_name(std::string_view what, std::string_view text);

/// Throws invalid() unless `text` is UTF-8 and has at most text_limit bytes: what people write about an image. `what`
/// is for the error: "the reason".
inline constexpr std::size_t text_limit = 4096;
void require_text(std::string_view what, std::string_view text);

/// What publishing a version a second time is answered with.
Error version_exists(const std::string& name, const std::string& version);

/// What a change is answered with whose image was removed meanwhile.
Error image_is_gone(const std::string& reference);

/// "name", "name:version" or "name:channel", each perhaps after "owner/".
struct Reference {
  std::string name, tag, owner = {};
};
Reference parse_reference(std::string_view);

}  // namespace kiln

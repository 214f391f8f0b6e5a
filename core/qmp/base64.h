#pragma once
// Base64 as the guest agent's messages carry bytes in it (RFC 4648, section 4).

#include <optional>
#include <string>
#include <string_view>

namespace kiln {

std::string to_base64(std::string_view bytes);
/// Nothing when the text is no base64.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace kiln

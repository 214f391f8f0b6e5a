#include <kiln/text.h>

#include <algorithm>
#include <array>

namespace kiln {
namespace {

/// Length of the well-formed UTF-8 sequence at the start of `s` that is safe to show; 0 when there is none.
std::size_t visible_sequence(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || first > 0xf4 || s.size() < length) return 0;
  unsigned code = first & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  static constexpr std::array<unsigned, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  // C1 controls, surrogates, and the marks that turn the direction of writing or are not seen at all.
  const bool hidden = code < 0xa0 || (code >= 0xd800 && code < 0xe000) || (code >= 0x200b && code <= 0x200f) ||
                      (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
                      code > 0x10ffff;
  return code < smallest[length] || hidden ? 0 : length;
}

std::string escaped(char c) {
  if (c == '\n') return "\\n";
  if (c == '\t') return "\\t";
  if (c == '\r') return "\\r";
  static constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  out.reserve(std::min(text.size(), limit));
  while (!text.empty()) {
    const std::size_t n = visible_sequence(text), room = limit - out.size();
    if (n != 0) {
      if (n > room) return out + "…";
      out.append(text, 0, n);
    } else {
      const std::string piece = escaped(text[0]);
      if (piece.size() > room) return out + "…";
      out += piece;
    }
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  return out;
}

}  // namespace kiln

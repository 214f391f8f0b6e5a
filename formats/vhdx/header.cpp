#include "header.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <kiln/endian.h>

#include "checksum.h"

namespace kiln::vhdx {
namespace {

constexpr std::string_view file_mark = "vhdxfile", header_mark = "head";
constexpr std::size_t creator_at = 8, creator_units = 256;
constexpr std::uint16_t known_version = 1, known_log_version = 0;

struct Found {
  std::vector<std::byte> bytes;
  bool intact = false;
  std::uint64_t sequence = 0;
};

Found look(const File& file, std::uint64_t at) {
  Found found;
  found.bytes.resize(header_size);
  const bool whole = file.read_some(at, found.bytes) == header_size;
  found.intact = whole && std::memcmp(found.bytes.data(), header_mark.data(), header_mark.size()) == 0 &&
                 checksum_fits(found.bytes);
  if (found.intact) found.sequence = get_le<std::uint64_t>(found.bytes, 8);
  return found;
}

// The one with the greater number counts, among those that are whole. disk2vhd writes two equal ones.
int choose(const File& file, const Found (&found)[2]) {
  if (!found[0].intact && !found[1].intact) {
    if (file.size() < header_at[1] + header_size) throw truncated(file, "the second VHDX header", 132 * kib);
    throw damaged(file, "VHDX headers, bytes 65536..69631 and 131072..135167: mark or checksum does not fit in both",
                  code::checksum);
  }
  if (found[0].intact && found[1].intact && found[0].sequence == found[1].sequence && found[0].bytes != found[1].bytes)
    throw damaged(file, "VHDX headers, bytes 65544..65551 and 131080..131087: two that differ have the same number " +
                            std::to_string(found[0].sequence));
  if (!found[1].intact) return 0;
  return !found[0].intact || found[1].sequence > found[0].sequence ? 1 : 0;
}

std::string creator_of(std::span<const std::byte> identifier) {
  std::string text;
  for (std::size_t i = 0; i < creator_units; ++i) {
    const auto unit = get_le<std::uint16_t>(identifier, creator_at + i * 2);
    if (unit == 0) break;
    text += unit < 0x80 ? static_cast<char>(unit) : '?';
  }
  return text;
}

void check_log(const File& file, const Header& h, const std::string& where) {
  const auto bad = [&](const char* bytes, const std::string& fact) {
    return damaged(file, where + ", bytes " + bytes + ": " + fact);
  };
  if (h.log_length % alignment != 0) throw bad("68..71", "a log of " + std::to_string(h.log_length) + " bytes");
  if (h.log_length == 0 && !h.has_log()) return;
  if (h.log_length == 0) throw bad("68..71", "a log that is in use has no bytes");
  if (h.log_at < header_section || h.log_at % alignment != 0)
    throw bad("72..79", "the log at byte " + std::to_string(h.log_at));
  if (h.log_at > INT64_MAX - h.log_length || h.log_at + h.log_length > file.size())
    throw truncated(file, where + ", bytes 72..79: the log", h.log_at + h.log_length);
}

}  // namespace

bool has_mark(std::span<const std::byte> head) {
  return head.size() >= file_mark.size() && std::memcmp(head.data(), file_mark.data(), file_mark.size()) == 0;
}

Header read_header(const File& file) {
  std::vector<std::byte> identifier(creator_at + creator_units * 2);
  file.read_some(0, identifier);
  if (!has_mark(identifier))
    throw Error(file.path().string() + " is not a VHDX", "give the format that it has",
                {"bytes 0..7 are not \"vhdxfile\""})
        .as(code::format_mismatch);
  const Found found[2] = {look(file, header_at[0]), look(file, header_at[1])};
  const int current = choose(file, found);
  const std::span<const std::byte> b = found[current].bytes;
  const std::string where = "VHDX header " + std::to_string(current + 1);
  Header h;
  h.creator = creator_of(identifier);
  h.sequence = found[current].sequence;
  h.other_damaged = !found[1 - current].intact;
  std::copy_n(b.begin() + 48, h.log_id.size(), h.log_id.begin());
  h.log_length = get_le<std::uint32_t>(b, 68);
  h.log_at = get_le<std::uint64_t>(b, 72);
  const auto log_version = get_le<std::uint16_t>(b, 64), version = get_le<std::uint16_t>(b, 66);
  const auto unknown = [&](const char* bytes, const std::string& what, unsigned value) {
    return Error(file.path().string() + " is a VHDX of a version that kiln does not know",
                 "convert it with the program that made it to a VHDX of version 1",
                 {where + ", bytes " + bytes + ": " + what + " " + std::to_string(value)})
        .as(code::unsupported);
  };
  if (version != known_version) throw unknown("66..67", "version", version);
  if (h.has_log() && log_version != known_log_version) throw unknown("64..65", "log version", log_version);
  check_log(file, h, where);
  return h;
}

}  // namespace kiln::vhdx

#include "packed.h"

#include <boost/crc.hpp>

#include <algorithm>
#include <cstring>

#include <kiln/endian.h>

namespace kiln::fuzz {
namespace {

constexpr std::size_t sector = 512, head = 8, record = 4 + sector;
constexpr std::size_t most_sectors = (16u << 20) / sector;

bool is_packed(const std::string& format) {
  return format == "vdi" || format == "vhdx" || format == "vhd" || format == "bochs";
}

bool zeros(std::span<const std::byte> bytes) {
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

/// Makes the checksum of a VHDX's structure fit.
void seal(std::span<std::byte> file, std::size_t at, std::size_t size) {
  if (at > file.size() || size < 8 || size > file.size() - at) return;
  const auto bytes = file.subspan(at, size);
  put_le<std::uint32_t>(bytes, 4, 0);
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  put_le<std::uint32_t>(bytes, 4, crc.checksum());
}

void seal_vhdx(std::span<std::byte> file) {
  for (const std::size_t at : {64u << 10, 128u << 10}) seal(file, at, 4096);
  for (const std::size_t at : {192u << 10, 256u << 10}) seal(file, at, 64u << 10);
  std::size_t left = 2u << 20;  // bytes of log entries: hostile ones lie on one another
  for (std::size_t at = 1u << 20; at + 64 <= file.size(); at += 4096) {
    if (std::memcmp(file.data() + at, "loge", 4) != 0) continue;
    const std::size_t size = get_le<std::uint32_t>(file, at + 8);
    if (size > left) return;
    left -= size;
    seal(file, at, size);
  }
}

/// Makes the checksum of a VHD's structure fit: the one's complement of the sum of the other bytes.
void seal_sum(std::span<std::byte> bytes, std::size_t field) {
  put_be<std::uint32_t>(bytes, field, 0);
  std::uint32_t sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<std::uint32_t>(b);
  put_be<std::uint32_t>(bytes, field, ~sum);
}

/// The dynamic header before the footer that says where it is: one may lie on the other.
void seal_vhd(std::span<std::byte> file) {
  constexpr std::size_t footer = 512, header = 1024;
  if (file.size() < footer) return;
  for (const std::size_t at : {std::size_t{0}, file.size() - footer}) {
    const auto bytes = file.subspan(at, footer);
    if (std::memcmp(bytes.data(), "conectix", 8) != 0) continue;
    const auto header_at = get_be<std::uint64_t>(bytes, 16);
    if (file.size() >= header && header_at <= file.size() - header) seal_sum(file.subspan(header_at, header), 36);
    seal_sum(bytes, 64);
  }
}

}  // namespace

std::vector<std::byte> as_input(const std::string& format, std::vector<std::byte> file) {
  if (!is_packed(format)) return file;
  const std::size_t cut = (sector - file.size() % sector) % sector;
  file.resize(file.size() + cut);
  std::vector<std::byte> input(head);
  input[0] = std::byte{1};
  put_le<std::uint16_t>(input, 2, static_cast<std::uint16_t>(cut));
  put_le<std::uint32_t>(input, 4, static_cast<std::uint32_t>(file.size() / sector));
  for (std::size_t i = 0; i < file.size() / sector; ++i) {
    const auto bytes = std::span(file).subspan(i * sector, sector);
    if (zeros(bytes)) continue;
    input.resize(input.size() + record);
    const auto into = std::span(input).last(record);
    put_le<std::uint32_t>(into, 0, static_cast<std::uint32_t>(i));
    std::ranges::copy(bytes, into.begin() + 4);
  }
  return input;
}

std::vector<std::byte> as_file(const std::string& format, std::span<const std::byte> input) {
  if (!is_packed(format) || input.size() < head) return {input.begin(), input.end()};
  const std::size_t sectors = std::min<std::size_t>(get_le<std::uint32_t>(input, 4), most_sectors);
  std::vector<std::byte> file(sectors * sector);
  for (std::size_t at = head; at + record <= input.size(); at += record) {
    const std::size_t number = get_le<std::uint32_t>(input, at);
    if (number < sectors)
      std::ranges::copy(input.subspan(at + 4, sector), file.begin() + static_cast<std::ptrdiff_t>(number * sector));
  }
  file.resize(file.size() - std::min<std::size_t>(file.size(), get_le<std::uint16_t>(input, 2) % sector));
  if ((input[0] & std::byte{1}) == std::byte{0}) return file;
  if (format == "vhdx") seal_vhdx(file);
  if (format == "vhd") seal_vhd(file);
  return file;
}

}  // namespace kiln::fuzz

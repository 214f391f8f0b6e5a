#include "checksum.h"

#include <boost/crc.hpp>

#include <kiln/endian.h>

namespace kiln::vhdx {

std::uint32_t checksum(std::span<const std::byte> first, std::span<const std::byte> second) {
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;
  const std::uint32_t zero = 0;
  crc.process_bytes(first.data(), checksum_at);
  crc.process_bytes(&zero, sizeof zero);
  const auto rest = first.subspan(checksum_at + sizeof zero);
  crc.process_bytes(rest.data(), rest.size());
  crc.process_bytes(second.data(), second.size());
  return crc.checksum();
}

bool checksum_fits(std::span<const std::byte> structure) {
  return checksum(structure) == get_le<std::uint32_t>(structure, checksum_at);
}

}  // namespace kiln::vhdx

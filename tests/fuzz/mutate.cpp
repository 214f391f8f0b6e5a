#include "mutate.h"

#include <algorithm>
#include <array>
#include <random>
#include <span>

#include <kiln/endian.h>

namespace kiln::fuzz {
namespace {

using Random = std::mt19937_64;  // its sequence is fixed by the standard, unlike the distributions'

/// An offset: half of the time in the first or last 512 bytes, where headers and footers are; aligned, mostly.
std::size_t place(Random& random, std::size_t size, std::size_t width) {
  const std::size_t room = size - width, near = std::min<std::size_t>(room, 512);
  std::size_t at = 0;
  switch (random() % 4) {
    case 0:
      at = random() % (near + 1);
      break;
    case 1:
      at = room - random() % (near + 1);
      break;
    default:
      at = random() % (room + 1);
  }
  return random() % 8 == 0 ? at : at / width * width;
}

std::uint64_t interesting(Random& random, std::size_t size) {
  static constexpr std::array<std::uint64_t, 12> values{
      0, 1, 2, 511, 512, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX, 1ull << 62};
  switch (random() % 5) {
    case 0:
      return size;
    case 1:
      return random() % (size / 512 + 2) * 512;
    case 2:
      return std::uint64_t{1} << random() % 64;
    case 3:
      return random();
    default:
      return values[random() % values.size()];
  }
}

void mutate_once(std::vector<std::byte>& bytes, Random& random) {
  const std::span<std::byte> all(bytes);
  const std::uint64_t value = interesting(random, bytes.size());
  switch (random() % 7) {
    case 0:
      put_be(all, place(random, bytes.size(), 8), value);
      break;
    case 1:
      put_be(all, place(random, bytes.size(), 4), static_cast<std::uint32_t>(value));
      break;
    case 2:
      put_le(all, place(random, bytes.size(), 4), static_cast<std::uint32_t>(value));
      break;
    case 3:
      bytes[place(random, bytes.size(), 1)] ^= static_cast<std::byte>(1u << random() % 8);
      break;
    case 4:
      bytes[place(random, bytes.size(), 1)] = static_cast<std::byte>(random());
      break;
    case 5: {
      const std::size_t from = place(random, bytes.size(), 8), to = place(random, bytes.size(), 8);
      const std::size_t length = std::min({std::size_t{8} << random() % 8, bytes.size() - from, bytes.size() - to});
      std::vector<std::byte> block(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                                   bytes.begin() + static_cast<std::ptrdiff_t>(from + length));
      std::copy(block.begin(), block.end(), bytes.begin() + static_cast<std::ptrdiff_t>(to));
      break;
    }
    default:
      if (random() % 4 == 0) bytes.resize(std::max<std::size_t>(random() % (bytes.size() + 1024), 16));
  }
}

}  // namespace

std::vector<std::byte> mutated(const std::vector<std::byte>& seed, std::uint64_t number) {
  Random random(number);
  std::vector<std::byte> bytes = seed;
  if (bytes.size() < 16) bytes.resize(16);
  for (std::uint64_t i = 0, count = 1 + random() % 4; i < count; ++i) mutate_once(bytes, random);
  return bytes;
}

}  // namespace kiln::fuzz

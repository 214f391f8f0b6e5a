#pragma once
// Integers at fixed offsets of on-disk structures.

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace kiln {

/// Big-endian T at `offset`. The caller has checked that it fits.
template <class T>
constexpr T get_be(std::span<const std::byte> from, std::size_t offset) {
  static_assert(std::is_unsigned_v<T>);
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) v = (v << 8) | std::to_integer<std::uint64_t>(from[offset + i]);
  return static_cast<T>(v);
}

template <class T>
constexpr T get_le(std::span<const std::byte> from, std::size_t offset) {
  static_assert(std::is_unsigned_v<T>);
  std::uint64_t v = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) v = (v << 8) | std::to_integer<std::uint64_t>(from[offset + i]);
  return static_cast<T>(v);
}

template <class T>
constexpr void put_be(std::span<std::byte> into, std::size_t offset, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i)
    into[offset + i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * (sizeof(T) - 1 - i)));
}

template <class T>
constexpr void put_le(std::span<std::byte> into, std::size_t offset, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i)
    into[offset + i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
}

}  // namespace kiln

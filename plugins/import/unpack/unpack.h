#pragma once
// A compressed file, unpacked into a private file without a name: what is in it is read more than once, and at any
// place. Zeros become holes.

#include <cstdint>

#include <kiln/context.h>

#include "unpack/decoder.h"

namespace kiln::import {

/// How much may come out. An honest disk is mostly zeros, and those cost no room, so what is not zero counts first.
struct UnpackLimits {
  std::uint64_t size = std::uint64_t{16} << 40;      ///< in all
  std::uint64_t data = 64u << 20, data_ratio = 200;  ///< not zero: `data` + `data_ratio` × what was read
  std::uint64_t zeros = std::uint64_t{2} << 30;      ///< in all: `zeros` + `zeros_ratio` × what was read
  std::uint64_t zeros_ratio = 40'000;                ///< zstd makes 32768 zeros of a byte, and means no harm
};

/// The file lives as long as the result does. It is a part() of that file, so nothing lies beside it.
/// Throws Error as Decoder does, and with code::bomb, code::disk_too_large, code::invalid_size (nothing is in it) and
/// code::nested_format (it is compressed twice).
File unpack(Context&, const File& packed, Packing, const UnpackLimits&);

}  // namespace kiln::import

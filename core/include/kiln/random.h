#pragma once
// Random numbers for identities and keys: nobody can guess them.

#include <cstddef>
#include <string>

#include <kiln/error.h>

namespace kiln {

/// From the kernel's generator, getrandom(2).
KILN_API std::string random_bytes(std::size_t count);
/// The same as lower-case hexadecimal digits, two for each byte.
KILN_API std::string random_hex(std::size_t bytes);

}  // namespace kiln

#pragma once
// A disk of 128 MiB with a Linux and a guest agent, which boots in seconds.

#include "support/made_once.h"

namespace kiln::test {

/// See small_guest.sh. The serial console says `small_guest_ready` when it is up.
inline std::filesystem::path small_guest() {
  return made_once("small-guest.qcow2", "small_guest.sh");
}

inline constexpr char small_guest_ready[] = "KILN-GUEST-READY";

}  // namespace kiln::test

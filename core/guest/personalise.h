#pragma once
// What makes one machine of many that were made of one image: written into its disk before it starts, for guests that
// have nothing inside that would do it.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "guest/session.h"

namespace kiln {

/// One machine's own.
struct Identity {
  std::string hostname;
  std::string machine_id;                   ///< 32 hexadecimal digits, machine-id(5)
  std::string seed;                         ///< bytes for the kernel's random numbers
  std::vector<std::string> root_keys = {};  ///< public key lines that may log in as root, besides those that may
};

/// Hostname, machine-id, random seed, root's keys; and SSH host keys of the kinds that the guest has, or of
/// ssh-keygen's usual ones when it has a server and no key. `folder`: a private one, for keys on their way. Linux only.
void personalise(Guest&, const Identity&, const std::filesystem::path& folder);

/// A disk and whose it is to be.
struct ClonedDisk {
  std::filesystem::path overlay;
  Identity identity;
};

/// All of them in one appliance, which has one at a time. They are overlays of one size on one base; `options` says
/// everything but the overlay. `told`: how many are done.
void personalise_all(const std::vector<ClonedDisk>&, SessionOptions options,
                     const std::function<void(std::size_t done, std::size_t total)>& told = {});

}  // namespace kiln

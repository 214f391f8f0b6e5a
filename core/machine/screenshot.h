#pragma once
// What a machine shows on its screen.

#include <filesystem>
#include <stop_token>

#include "machine/instances.h"

namespace kiln {

struct Screenshot {
  unsigned width = 0, height = 0;  ///< pixels
};

/// Writes the screen of a running instance as PNG, replacing `file`. QEMU writes it inside of the instance's folder;
/// what it wrote is decoded before it is handed on. Errors: not running, started without a screen, QEMU's own words.
Screenshot take_screenshot(const Instance&, const std::filesystem::path& file, std::stop_token stop = {});

}  // namespace kiln

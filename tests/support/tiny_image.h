#pragma once
// A disk of 2 MB that boots.

#include "support/made_once.h"

namespace kiln::test {

/// `mode`: "halt" or "stay", see tiny_image.sh.
inline std::filesystem::path tiny_image(const std::string& mode) {
  return made_once("tiny-" + mode + ".qcow2", "tiny_image.sh", mode);
}

}  // namespace kiln::test

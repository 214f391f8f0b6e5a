#pragma once
// A disk of 2 MB that boots, made once per build folder and shared by all tests. Read-only.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace kiln::test {

/// `mode`: "halt" or "stay", see tiny_image.sh.
inline std::filesystem::path tiny_image(const std::string& mode) {
  const std::filesystem::path folder = std::filesystem::path(KILN_BINARY_DIR) / "test-images";
  std::filesystem::create_directories(folder);
  const std::filesystem::path image = folder / ("tiny-" + mode + ".qcow2");
  const int lock = ::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ::flock(lock, LOCK_EX);
  if (!std::filesystem::exists(image)) {
    const std::string script = std::string(KILN_SOURCE_DIR) + "/tests/support/tiny_image.sh";
    if (std::system(("'" + script + "' '" + image.string() + "' " + mode).c_str()) != 0)
      throw std::runtime_error("tiny_image.sh failed: are grub-pc-bin, grub-efi-amd64-bin, xorriso, mtools installed?");
    std::filesystem::permissions(image, static_cast<std::filesystem::perms>(0444));
  }
  ::close(lock);
  return image;
}

}  // namespace kiln::test

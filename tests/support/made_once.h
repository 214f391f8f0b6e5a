#pragma once
// Disks that a script makes, once per build folder, for all test programs.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace kiln::test {

/// The read-only file `name`, made by tests/support/`script` with that file and `argument` as its arguments.
inline std::filesystem::path made_once(const std::string& name, const std::string& script,
                                       const std::string& argument = "") {
  const std::filesystem::path folder = std::filesystem::path(KILN_BINARY_DIR) / "test-images";
  std::filesystem::create_directories(folder);
  const std::filesystem::path image = folder / name;
  const int lock = ::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ::flock(lock, LOCK_EX);
  const std::string program = std::string(KILN_SOURCE_DIR) + "/tests/support/" + script;
  if (!std::filesystem::exists(image) ||
      std::filesystem::last_write_time(image) < std::filesystem::last_write_time(program)) {
    if (std::system(("'" + program + "' '" + image.string() + "' " + argument).c_str()) != 0)
      throw std::runtime_error(script + " failed: are the packages that it names installed?");
    std::filesystem::permissions(image, static_cast<std::filesystem::perms>(0444));
  }
  ::close(lock);
  return image;
}

}  // namespace kiln::test

#pragma once
// Running the programs that tests take as the oracle. No shell.

#include <filesystem>
#include <string>
#include <vector>

namespace kiln::test {

struct Outcome {
  int status = -1;     ///< exit code; 128 + signal when killed
  std::string output;  ///< stdout and stderr together
};

/// Waits for it. Throws std::runtime_error when it cannot be started.
Outcome run(const std::vector<std::string>& command);

/// qemu-img, which must succeed; throws std::runtime_error with its output otherwise.
std::string qemu_img(const std::vector<std::string>& args);

/// `qemu-img convert -f format -O raw from to`.
void qemu_to_raw(const std::filesystem::path& from, const std::string& format, const std::filesystem::path& to);
/// `qemu-img convert -f raw -O format [-o options] from to`.
void qemu_from_raw(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& format,
                   const std::string& options = {});

}  // namespace kiln::test

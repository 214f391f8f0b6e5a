#pragma once
// Running the programs that tests take as the oracle. No shell.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace kiln::test {

struct Outcome {
  int status = -1;     ///< exit code; 128 + signal when killed
  std::string output;  ///< stdout and stderr together
};

/// A program that runs, and where its output arrives.
struct Started {
  pid_t pid = 0;
  int output = -1;
};

/// Throws std::runtime_error when it cannot be started. wait() is to follow.
Started start(const std::vector<std::string>& command);
Outcome wait(const Started&);

/// Waits for it. Throws std::runtime_error when it cannot be started.
Outcome run(const std::vector<std::string>& command);

/// A server that ends with the test, by `signal`: "KILL" or as the program understands it. Never root's: it runs as
/// nobody then, unless `privileged`. What it says is added to `log`; `environment` replaces the test's unless it is
/// empty. Throws std::runtime_error when it cannot be started.
struct Server {
  std::vector<std::string> command;
  std::filesystem::path log;
  const char* signal = "KILL";
  std::vector<std::string> environment = {};
  bool privileged = false;
};
pid_t start_server(const Server&);
/// The command as start_server() runs it.
std::vector<std::string> as_server(const Server&);
inline constexpr uid_t nobody = 65534;

/// qemu-img, which must succeed; throws std::runtime_error with its output otherwise.
std::string qemu_img(const std::vector<std::string>& args);

/// `qemu-img convert -f format -O raw from to`.
void qemu_to_raw(const std::filesystem::path& from, const std::string& format, const std::filesystem::path& to);
/// `qemu-img convert -f raw -O format [-o options] from to`.
void qemu_from_raw(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& format,
                   const std::string& options = {});

}  // namespace kiln::test

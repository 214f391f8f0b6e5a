#pragma once
// The one place where a process is made.

#include <sys/types.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <kiln/context.h>

namespace kiln {

/// A descriptor that closes itself. -1: none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;
  int release() noexcept;

 private:
  int fd_ = -1;
};

/// What becomes 0, 1 and 2 of the program; all of them at least 3 here.
struct SpawnIo {
  int in = -1, out = -1, err = -1;
  std::filesystem::path directory = {};
  std::vector<int> passed = {};  ///< become 3, 4, …; see copies_to_pass()
  bool survives = false;         ///< a child that does not die with us
};

/// Starts a child of ours. Throws Error with the Debian package as a hint when there is no such program.
pid_t spawn_child(const Command&, const SpawnIo&);
/// Starts a grandchild in its own session and reaps the process between.
pid_t spawn_daemon(const Command&, const SpawnIo&);

Fd open_pidfd(pid_t);
/// Moves a descriptor above 2, where dup2 onto 0, 1 and 2 cannot hit it.
Fd lifted(int fd);
/// Copies of descriptors that are to be passed, above all the numbers that they will have.
std::vector<Fd> copies_to_pass(std::span<const int> descriptors);
std::vector<int> numbers_of(const std::vector<Fd>&);
/// An anonymous file that holds `text`, at its start; /dev/null for no text.
Fd input_file(const std::string& text);
/// For appending. Empty: /dev/null.
Fd append_file(const std::filesystem::path&);
/// Lower-case errno text as an Error.
[[noreturn]] void throw_errno(const std::string& what);

}  // namespace kiln

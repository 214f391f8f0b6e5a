#pragma once
// Programs of others that see bytes of strangers: in bubblewrap, under prlimit. Nothing of the host is there but /usr
// and what is given, and no network.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "process/process.h"
#include "process/spawn.h"

namespace kiln {

/// What a program in the sandbox may take.
struct Limits {
  std::uint64_t memory = 2ull << 30;      ///< bytes of address space; with 1 GiB qemu-img sometimes aborts
  std::uint64_t file_size = 16ull << 20;  ///< bytes of each file that it writes, its log among them
  std::uint64_t cpu_seconds = 600;
  std::uint64_t tasks = 128;             ///< threads; other processes it cannot make
  std::uint64_t scratch = 256ull << 20;  ///< bytes of its own /tmp, which is memory
};

/// One program's sandbox: namespaces of its own (user, pid, net, ipc, uts, cgroup, mount), a filter of system calls, an
/// empty environment, no capabilities. It dies with the thread that starts it.
struct Sandbox {
  /// Descriptors of regular files, open for reading only: /in/0, /in/1 … What they are called on the host is not told,
  /// and the program does not get the descriptors themselves. Seven at most.
  std::vector<int> inputs = {};
  /// Descriptors of sockets that it gets by their numbers, and may do with what it likes.
  std::vector<int> sockets = {};
  /// Private folders: /out/0, /out/1 … The program may write there.
  std::vector<std::filesystem::path> outputs = {};
  Limits limits = {};
  bool off = false;  ///< --no-sandbox: only the limits are kept

  std::string input(std::size_t number) const;   ///< its name for the program
  std::string output(std::size_t number) const;  ///< the same
  int socket(std::size_t number) const;          ///< its descriptor for the program
};

/// A command for Child::start() or run(), with the descriptors to pass.
struct Boxed {
  Command command;
  std::vector<int> passed;
  Fd filter = {};
};

/// The command in that sandbox. kiln that runs as root runs it as the owner of its first input; the outputs become his.
/// Throws refused() where bubblewrap is missing or the host allows no namespaces, and Error when there is no such
/// program.
Boxed in_sandbox(const Command&, const Sandbox&);

/// As run_checked(), and a command that is confined_to() something runs in the sandbox; `sandboxed` false:
/// --no-sandbox.
std::string run_confined(const Command&, const RunOptions&, bool sandboxed);

/// Throws what in_sandbox() does on a host without sandbox.
void require_sandbox();

/// For programs that somebody else starts, and whose paths he chooses.
struct NamedSandbox {
  std::vector<std::filesystem::path> readable = {};  ///< under their own names; what is missing is left out
  std::vector<std::filesystem::path> writable = {};  ///< the same
  std::vector<std::filesystem::path> devices = {};   ///< the same
  Limits limits = {};
};

/// The words of a command line before the program's path and its arguments; `additions` are bwrap's own.
std::vector<std::string> sandbox_words(const NamedSandbox&, const std::vector<std::string>& additions = {});

}  // namespace kiln

#pragma once
// Work inside a running instance through its guest agent: programs and files, without a network
// (docs/interop/qemu-ga-ref of QEMU 7.2: guest-exec, guest-file-*).

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "machine/instances.h"
#include "process/file_lock.h"
#include "qmp/guest_agent.h"

namespace kiln {

/// A program in the guest. Its arguments reach it as they are: there is no shell.
struct GuestCommand {
  std::string program;
  std::vector<std::string> args = {};
  std::string input = {};                     ///< its standard input, at most GuestAccess::longest_input
  std::vector<std::string> environment = {};  ///< "NAME=value"; empty: the agent's own
  Duration limit{std::chrono::seconds(60)};   ///< past it the program is killed, and run() throws
};

/// How it ended. All of it is the guest's word. The agent tells what a program wrote when it has ended, not before.
struct GuestOutcome {
  Exit exit;
  std::string out, err;                   ///< the agent keeps the first 16 MiB of each
  bool out_cut = false, err_cut = false;  ///< there was more
};

/// One kiln's turn with the agent of an instance. The agent hears one client at a time: others wait. One thread.
/// Errors: whatever the guest refuses, in its agent's words; answers that make no sense.
class GuestAccess {
 public:
  static constexpr std::size_t longest_input = 4u << 20;  ///< it travels in one message

  /// Waits at most `limit` for other kilns, and for the agent to answer.
  /// Errors: the instance does not run; another kiln is talking to its agent; no agent answers.
  static GuestAccess open(const Instance&, std::stop_token stop = {}, Duration limit = std::chrono::seconds(10));

  GuestOutcome run(const GuestCommand&);
  /// To the host's time.
  void set_clock(Duration limit = std::chrono::seconds(10));

 private:
  friend class GuestFile;
  GuestAccess(std::filesystem::path socket, FileLock lock, GuestAgent agent, std::stop_token stop)
      : socket_(std::move(socket)), lock_(std::move(lock)), agent_(std::move(agent)), stop_(std::move(stop)) {}
  GuestOutcome wait_for(std::int64_t pid, const GuestCommand&);
  void kill(std::int64_t pid) noexcept;

  std::filesystem::path socket_;
  FileLock lock_;
  GuestAgent agent_;
  std::stop_token stop_;
};

/// A file that the agent has open for us. Borrows the access.
class GuestFile {
 public:
  static constexpr std::size_t piece = 48u << 10;  ///< in one message
  enum class Mode { read, write };                 ///< write: anew; a file that was there is overwritten

  GuestFile(GuestAccess&, const std::string& path, Mode);
  GuestFile(const GuestFile&) = delete;
  GuestFile& operator=(const GuestFile&) = delete;
  ~GuestFile();

  std::string read();  ///< the next piece; empty: the end
  void write(std::string_view bytes);
  /// What was written is only known to be there when this returns.
  void close();

 private:
  GuestAgent& agent_;
  std::optional<std::int64_t> handle_;
};

/// The right to talk to the agent of the instance that has this folder; waits at most `limit` for whoever has it.
FileLock lock_agent(const std::filesystem::path& folder, Duration limit, const std::stop_token& stop = {});
/// The same, nothing when somebody has it.
std::optional<FileLock> try_lock_agent(const Instance&);

}  // namespace kiln

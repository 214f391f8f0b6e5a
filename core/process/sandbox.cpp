#include "process/sandbox.h"

#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include <kiln/file.h>

#include "process/syscall_filter.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr int first_passed = 3;  // of a child's descriptors
constexpr char nobody[] = "65534";
constexpr char without[] = ", or go without by --no-sandbox: then that program sees all that you see";

void add(Words& words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
}

/// Whom the program runs as on the host, when that is not who we are.
struct User {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// A file of somebody else's that only he may read cannot be opened by root without capabilities.
std::optional<User> user_for(const Sandbox& box) {
  struct stat st {};
  if (::geteuid() != 0 || box.inputs.empty() || ::fstat(box.inputs.front(), &st) != 0 || st.st_uid == 0) return {};
  return User{st.st_uid, st.st_gid};
}

Words limit_words(const Limits& limits) {
  return {"prlimit",
          "--core=0",
          "--as=" + std::to_string(limits.memory),
          "--fsize=" + std::to_string(limits.file_size),
          "--cpu=" + std::to_string(limits.cpu_seconds),
          "--"};
}

Words user_words(const std::optional<User>& user) {
  if (!user) return {};
  return {"setpriv", "--reuid=" + std::to_string(user->uid), "--regid=" + std::to_string(user->gid), "--clear-groups",
          "--"};
}

/// /lib and its like, as the host has them: links into /usr, or folders.
Words folder_words() {
  Words words{"--ro-bind", "/usr", "/usr"};
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code none;
    if (fs::is_symlink(name, none))
      add(words, {"--symlink", fs::read_symlink(name, none).string(), name});
    else if (fs::is_directory(name, none))
      add(words, {"--ro-bind", name, name});
  }
  add(words, {"--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"});
  return words;
}

/// All but what is particular to a program.
Words bwrap_words(const Limits& limits) {
  Words words{"bwrap",
              "--unshare-all",
              "--unshare-user",
              "--disable-userns",
              "--uid",
              nobody,
              "--gid",
              nobody,
              "--cap-drop",
              "ALL",
              "--hostname",
              "sandbox",
              "--die-with-parent",
              "--new-session",
              "--clearenv"};
  // The slash: QEMU takes /var/tmp where it reads "/tmp".
  for (const char* variable : {"PATH=/usr/bin", "LC_ALL=C", "HOME=/tmp", "TMPDIR=/tmp/", "MALLOC_ARENA_MAX=1"}) {
    const std::string text(variable);
    const std::size_t equals = text.find('=');
    add(words, {"--setenv", text.substr(0, equals), text.substr(equals + 1)});
  }
  add(words, folder_words());
  add(words, {"--proc", "/proc", "--dev", "/dev", "--size", std::to_string(limits.scratch), "--tmpfs", "/tmp"});
  return words;
}

/// Last, because nothing can be laid into a folder that is read-only. Threads are counted inside, where they are its
/// own.
Words last_words(const Limits& limits) {
  return {"--chdir",
          "/tmp",
          "--remount-ro",
          "/dev",
          "--remount-ro",
          "/",
          "--",
          "/usr/bin/prlimit",
          "--nproc=" + std::to_string(limits.tasks),
          "--"};
}

/// The descriptors behind the mounts are the host's, and may be opened anew for writing by whoever owns the file: a
/// program gets none of them. sh(1) knows those of one digit.
Words closing_words(const Sandbox& box) {
  if (box.inputs.empty()) return {};
  if (first_passed + box.inputs.size() > 10) throw Error("a program in the sandbox can have 7 inputs at most");
  std::string script = "exec";
  for (std::size_t i = 0; i < box.inputs.size(); ++i) script += ' ' + std::to_string(first_passed + i) + "<&-";
  return {"/bin/sh", "-c", script + "; exec \"$@\"", "sh"};
}

/// Where the program is for itself. One that is not below /usr is shown alone.
std::string place_program(const std::string& program, Words& words) {
  const fs::path real = fs::canonical(require_program(program));
  if (real.string().starts_with("/usr/")) return real.string();
  const std::string name = "/program/" + fs::path(program).filename().string();
  add(words, {"--ro-bind", real.string(), name});
  return name;
}

Command command_of(const Words& words, const Command& original) {
  return {words.front(), Words(words.begin() + 1, words.end()), original.input, {}};
}

/// A sandbox in which nothing happens shows whether the host allows one.
void try_out(const std::optional<User>& user) {
  if (!find_program("bwrap"))
    throw refused("there is no sandbox: bubblewrap is not installed",
                  "sudo apt-get install " + std::string(package_of("bwrap")) + without);
  Words words = user_words(user);
  add(words, bwrap_words({}));
  add(words, last_words({}));
  words.emplace_back("/usr/bin/true");
  const Outcome outcome = run(command_of(words, {}), {.timeout = std::chrono::seconds(20)});
  if (!outcome.exit.ok())
    throw refused("there is no sandbox: this host does not allow it",
                  "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone; in a "
                  "container its profiles)" +
                      std::string(without),
                  outcome.error_lines);
}

std::vector<int> passed_to(const Sandbox& box) {
  std::vector<int> passed = box.inputs;
  passed.insert(passed.end(), box.sockets.begin(), box.sockets.end());
  return passed;
}

Boxed with_limits_only(const Command& command, const Sandbox& box) {
  Words words = limit_words(box.limits);
  words.push_back(require_program(command.program).string());
  add(words, command.args);
  Boxed boxed{command_of(words, command), passed_to(box)};
  boxed.command.environment = command.environment;
  return boxed;
}

}  // namespace

std::string Sandbox::input(std::size_t number) const {
  return (off ? "/proc/self/fd/" : "/in/") + std::to_string(off ? number + first_passed : number);
}

std::string Sandbox::output(std::size_t number) const {
  return off ? fs::absolute(outputs.at(number)).string() : "/out/" + std::to_string(number);
}

int Sandbox::socket(std::size_t number) const {
  return static_cast<int>(first_passed + inputs.size() + number);
}

void require_sandbox() {
  try_out({});
}

Boxed in_sandbox(const Command& command, const Sandbox& box) {
  if (box.off) return with_limits_only(command, box);
  const std::optional<User> user = user_for(box);
  try_out(user);
  Boxed boxed{{}, passed_to(box), syscall_filter()};
  boxed.passed.push_back(boxed.filter.get());

  Words words = limit_words(box.limits);
  add(words, user_words(user));
  add(words, bwrap_words(box.limits));
  for (std::size_t i = 0; i < box.inputs.size(); ++i)
    add(words, {"--ro-bind", "/proc/self/fd/" + std::to_string(i + first_passed), box.input(i)});
  for (std::size_t i = 0; i < box.outputs.size(); ++i) {
    if (user && ::chown(box.outputs[i].c_str(), user->uid, user->gid) != 0)
      throw_errno("cannot give away " + box.outputs[i].string());
    add(words, {"--bind", fs::absolute(box.outputs[i]).string(), box.output(i)});
  }
  for (const std::string& variable : command.environment) {
    const std::size_t equals = std::min(variable.find('='), variable.size());
    add(words, {"--setenv", variable.substr(0, equals), variable.substr(std::min(equals + 1, variable.size()))});
  }
  add(words, {"--seccomp", std::to_string(first_passed + boxed.passed.size() - 1)});
  const std::string program = place_program(command.program, words);
  add(words, last_words(box.limits));
  add(words, closing_words(box));
  words.push_back(program);
  add(words, command.args);
  boxed.command = command_of(words, command);
  return boxed;
}

std::string run_confined(const Command& command, const RunOptions& options, bool sandboxed) {
  if (command.confined_to.empty()) return run_checked(command, options);
  Sandbox box{.off = !sandboxed};
  std::vector<File> inputs;
  for (const fs::path& file : command.confined_to) {
    inputs.push_back(File::open_read(file));
    box.inputs.push_back(inputs.back().fd());
  }
  Command inside = command;
  for (std::string& arg : inside.args)
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (arg == "/in/" + std::to_string(i)) {
        arg = box.input(i);
        break;
      }
  const Boxed boxed = in_sandbox(inside, box);
  RunOptions with = options;
  with.passed = boxed.passed;
  const Outcome outcome = run(boxed.command, with);
  if (!outcome.exit.ok()) throw failure_of(command, outcome);
  return outcome.output;
}

Words sandbox_words(const NamedSandbox& box, const Words& additions) {
  try_out({});
  Words words = limit_words(box.limits);
  add(words, bwrap_words(box.limits));
  for (const fs::path& path : box.readable) add(words, {"--ro-bind-try", path.string(), path.string()});
  for (const fs::path& path : box.writable) add(words, {"--bind-try", path.string(), path.string()});
  for (const fs::path& path : box.devices) add(words, {"--dev-bind-try", path.string(), path.string()});
  add(words, additions);
  add(words, last_words(box.limits));
  return words;
}

}  // namespace kiln

#include "support/run.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

extern char** environ;

namespace kiln::test {

std::vector<std::string> as_server(const Server& server) {
  std::vector<std::string> out{"setpriv", "--pdeathsig", server.signal};
  if (::geteuid() == 0 && !server.privileged) {
    const std::string id = std::to_string(nobody);
    out.insert(out.end(), {"--reuid", id, "--regid", id, "--clear-groups"});
  }
  out.insert(out.end(), server.command.begin(), server.command.end());
  return out;
}

pid_t start_server(const Server& server) {
  const std::vector<std::string> command = as_server(server);
  const auto pointers = [](const std::vector<std::string>& words) {
    std::vector<char*> all;
    for (const std::string& word : words) all.push_back(const_cast<char*>(word.c_str()));
    all.push_back(nullptr);
    return all;
  };
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, server.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, command[0].c_str(), &actions, nullptr, pointers(command).data(),
                                   server.environment.empty() ? environ : pointers(server.environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + server.command.front());
  return pid;
}

Started start(const std::vector<std::string>& command) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
  ::posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 2);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  Started started{0, pipe_ends[0]};
  const int error = ::posix_spawnp(&started.pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  if (error == 0) return started;
  ::close(pipe_ends[0]);
  throw std::runtime_error("cannot start " + command.at(0));
}

Outcome wait(const Started& started) {
  Outcome outcome;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(started.output, buffer, sizeof buffer)) != 0;) {
    if (n > 0) outcome.output.append(buffer, static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR) break;
  }
  ::close(started.output);
  int status = 0;
  while (::waitpid(started.pid, &status, 0) < 0 && errno == EINTR) {
  }
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

Outcome run(const std::vector<std::string>& command) {
  return wait(start(command));
}

std::string qemu_img(const std::vector<std::string>& args) {
  std::vector<std::string> command{"qemu-img"};
  command.insert(command.end(), args.begin(), args.end());
  Outcome outcome = run(command);
  if (outcome.status != 0) {
    std::string line;
    for (const std::string& word : command) line += word + " ";
    throw std::runtime_error(line + "failed: " + outcome.output);
  }
  return outcome.output;
}

void qemu_to_raw(const std::filesystem::path& from, const std::string& format, const std::filesystem::path& to) {
  qemu_img({"convert", "-f", format, "-O", "raw", from.string(), to.string()});
}

void qemu_from_raw(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& format,
                   const std::string& options) {
  std::vector<std::string> args{"convert", "-f", "raw", "-O", format};
  if (!options.empty()) args.insert(args.end(), {"-o", options});
  args.insert(args.end(), {from.string(), to.string()});
  qemu_img(args);
}

}  // namespace kiln::test

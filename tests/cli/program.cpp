#include "cli/program.h"

#include <fcntl.h>
#include <pty.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <kiln/file.h>

#include "support/disks.h"

extern char** environ;

namespace kiln::test {
namespace {

std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

Program::Program() : binary(KILN_BINARY_DIR "/bin/kiln") {
  environment = {{"KILN_HOME", home().string()},
                 {"NO_COLOR", ""},
                 {"KILN_PLUGIN_PATH", ""},
                 {"XDG_DATA_HOME", ""},
                 {"HOME", folder_.path()}};
}

std::vector<std::string> Program::full_environment() const {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    if (!environment.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : environment)
    if (!value.empty()) all.push_back(name + "=" + value);
  return all;
}

Program::Running Program::start(const std::vector<std::string>& args) const {
  const std::string number = std::to_string(count_++);
  const Running running{0, folder_ / (".out" + number), folder_ / (".err" + number)};
  std::vector<std::string> words{binary}, settings = full_environment();
  words.insert(words.end(), args.begin(), args.end());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder_.path().c_str());
  ::posix_spawn_file_actions_addopen(&actions, 0, input.c_str(), O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, running.out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::posix_spawn_file_actions_addopen(&actions, 2, running.err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  Running result = running;
  const int error =
      ::posix_spawn(&result.pid, binary.c_str(), &actions, nullptr, pointers(words).data(), pointers(settings).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + binary);
  return result;
}

Answer Program::wait(const Running& running) const {
  Answer answer;
  answer.status = reap(running.pid);
  answer.out = slurp(running.out);
  answer.err = slurp(running.err);
  std::filesystem::remove(running.out);
  std::filesystem::remove(running.err);
  return answer;
}

int Program::processes() const {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc"))
    if (slurp(entry.path() / "cmdline").find(folder().string()) != std::string::npos) ++count;
  return count;
}

bool Program::processes_end() const {
  for (int i = 0; i < 100 && processes() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return processes() == 0;
}

Answer Program::on_terminal(const std::vector<std::string>& args, unsigned short columns) const {
  std::vector<std::string> words{binary}, settings = full_environment();
  settings.push_back("TERM=xterm");
  words.insert(words.end(), args.begin(), args.end());
  const auto argv = pointers(words), envp = pointers(settings);
  winsize size{};
  size.ws_row = 24;
  size.ws_col = columns;
  int terminal = -1;
  const pid_t pid = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (pid < 0) throw std::runtime_error("forkpty failed");
  if (pid == 0) {
    if (::chdir(folder_.path().c_str()) == 0) ::execve(binary.c_str(), argv.data(), envp.data());
    ::_exit(127);
  }
  Answer answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(terminal, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) answer.out.append(buffer, static_cast<std::size_t>(n));
  answer.status = reap(pid);
  ::close(terminal);
  return answer;
}

std::filesystem::path Program::write(const std::string& name, const std::string& text) const {
  std::ofstream(folder_ / name, std::ios::binary) << text;
  return folder_ / name;
}

std::filesystem::path Program::raw_disk(const std::string& name, unsigned mib, unsigned seed) const {
  const std::uint64_t size = std::uint64_t{mib} << 20;
  write_raw(folder_ / name, {name, size, {{0, size / 6, Piece::Kind::text}, {size / 2, size / 6, Piece::Kind::random}}},
            seed);
  // One partition: a raw disk is known by what is on it.
  std::array<std::byte, 66> table{};
  table[4] = std::byte{0x83};
  table[9] = std::byte{0x08};  // sector 2048
  table[13] = std::byte{0x08};
  table[64] = std::byte{0x55};
  table[65] = std::byte{0xaa};
  File::open_write(folder_ / name).write_at(446, table);
  return folder_ / name;
}

std::vector<std::string> files_below(const std::filesystem::path& folder, const std::vector<std::string>& except) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(folder)) return names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = std::filesystem::relative(entry.path(), folder).string();
    const bool left_out = std::any_of(except.begin(), except.end(), [&](const auto& e) { return name.starts_with(e); });
    if (!entry.is_directory() && !left_out) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace kiln::test

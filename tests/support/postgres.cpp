#include "support/postgres.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/run.h"

extern char** environ;

namespace kiln::test {
namespace {

constexpr uid_t nobody = 65534;

/// The server refuses to be root, and dies with whoever started it.
std::vector<std::string> unprivileged(std::vector<std::string> command) {
  std::vector<std::string> out{"setpriv", "--pdeathsig", "INT"};
  if (::geteuid() == 0) {
    const std::string id = std::to_string(nobody);
    out.insert(out.end(), {"--reuid", id, "--regid", id, "--clear-groups"});
  }
  out.insert(out.end(), command.begin(), command.end());
  return out;
}

void run_or_throw(const std::vector<std::string>& command) {
  const Outcome outcome = run(command);
  if (outcome.status != 0) throw std::runtime_error(command.back() + " failed: " + outcome.output);
}

std::filesystem::path find_programs() {
  std::filesystem::path newest;
  for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql"))
    if (exists(version.path() / "bin/initdb")) newest = std::max(newest, version.path() / "bin");
  if (newest.empty()) throw std::runtime_error("there is no PostgreSQL below /usr/lib/postgresql");
  return newest;
}

}  // namespace

PostgresServer& PostgresServer::shared() {
  static PostgresServer server;
  return server;
}

PostgresServer::PostgresServer() : programs_(find_programs()) {
  if (::geteuid() == 0 && ::chown(folder_.path().c_str(), nobody, nobody) != 0)
    throw std::runtime_error("chown failed");
  run_or_throw(unprivileged({programs_ / "initdb", "--no-sync", "--auth=trust", "--username=kiln", "--encoding=UTF8",
                             "--locale=C.UTF-8", "--pgdata=" + (folder_ / "data").string()}));
  start();
}

void PostgresServer::start() {
  const std::vector<std::string> command = unprivileged({programs_ / "postgres", "-D", folder_ / "data", "-k",
                                                         folder_.path(), "-c", "listen_addresses=", "-c", "fsync=off",
                                                         "-c", "logging_collector=off", "-c", "shared_buffers=16MB"});
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const std::string log = folder_ / "log";
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int error = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + command.front());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (run({programs_ / "pg_isready", "-q", "-h", folder_.path(), "-U", "kiln"}).status != 0) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("PostgreSQL does not answer, see " + log);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

PostgresServer::~PostgresServer() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGINT);  // ends its connections and itself
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string PostgresServer::new_database() {
  const std::string name = "test" + std::to_string(++databases_);
  run_or_throw({programs_ / "createdb", "-h", folder_.path(), "-U", "kiln", name});
  return "postgresql:///" + name + "?user=kiln&host=" + folder_.path().string();
}

std::string PostgresServer::as_user(const std::string& url, const std::string& user) {
  const std::string begin = "postgresql:///", name = url.substr(begin.size(), url.find('?') - begin.size());
  run_or_throw({programs_ / "psql", "-q", "-h", folder_.path(), "-U", "kiln", "-d", name, "-c",
                "CREATE ROLE " + user + " LOGIN", "-c",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + user});
  return "postgresql://" + user + "@/" + name + "?host=" + folder_.path().string();
}

}  // namespace kiln::test

#include "support/postgres.h"

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

namespace kiln::test {
namespace {

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
  run_or_throw(as_server({.command = {programs_ / "initdb", "--no-sync", "--auth=trust", "--username=kiln",
                                      "--encoding=UTF8", "--locale=C.UTF-8", "--pgdata=" + (folder_ / "data").string()},
                          .log = {}}));
  start();
}

void PostgresServer::start() {
  const std::string log = folder_ / "log";
  pid_ = start_server(
      {.command = {programs_ / "postgres", "-D", folder_ / "data", "-k", folder_.path(), "-c",
                   "listen_addresses=", "-c", "fsync=off", "-c", "logging_collector=off", "-c", "shared_buffers=16MB"},
       .log = log,
       .signal = "INT"});
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

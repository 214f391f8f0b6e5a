#include "support/rgw.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>

#include "support/run.h"

namespace kiln::test {
namespace {

std::string uuid() {
  std::string text;
  std::ifstream("/proc/sys/kernel/random/uuid") >> text;
  return text;
}

/// A port that was free a moment ago.
int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool ok = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  if (!ok) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

std::string run_or_throw(const std::vector<std::string>& command) {
  const Outcome outcome = run(command);
  if (outcome.status != 0) throw std::runtime_error(command.front() + " failed: " + outcome.output);
  return outcome.output;
}

void wait_until(const std::string& what, const std::function<bool()>& is_so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(90);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error(what + " does not answer");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// Small, in memory, one of everything, no authentication between the parts, which listen on loopback only.
constexpr const char* settings = R"(
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_msgr2 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.05
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 1073741824
)";

}  // namespace

ObjectStore& ObjectStore::shared() {
  static ObjectStore store;
  return store;
}

ObjectStore::ObjectStore() {
  // Somebody else may take a port between the look and the use: then again, from the beginning.
  for (int tries = 1;; ++tries) try {
      start();
      return;
    } catch (const std::exception&) {
      end();
      if (tries == 4) throw;
    }
}

void ObjectStore::start() {
  monitor_port_ = free_port();
  port_ = free_port();
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
    std::filesystem::remove_all(entry.path());
  write_config();
  start_monitor();
  start_storage();
  start_gateway();
}

ObjectStore::~ObjectStore() {
  end();
}

void ObjectStore::end() noexcept {
  while (!processes_.empty()) {
    ::kill(processes_.back(), SIGKILL);  // all of it is in memory or in a temporary folder
    while (::waitpid(processes_.back(), nullptr, 0) < 0 && errno == EINTR) {
    }
    processes_.pop_back();
  }
}

void ObjectStore::write_config() {
  for (const char* name : {"mon", "osd", "run", "log"}) std::filesystem::create_directory(folder_ / name);
  const std::string at = folder_.path().string(), monitor = "[v1:127.0.0.1:" + std::to_string(monitor_port_) + "/0]";
  std::ofstream out(config());
  out << "[global]\nfsid = " << uuid() << "\nmon_host = " << monitor << "\nrun_dir = " << at
      << "/run\nadmin_socket = " << at << "/run/$name.asok\nlog_file = " << at
      << "/log/$name.log\nmon_cluster_log_file = " << at << "/log/cluster.log" << settings << "[mon]\nmon_data = " << at
      << "/mon\n[osd]\nosd_data = " << at << "/osd\n[client.rgw.a]\nrgw_frontends = beast endpoint=127.0.0.1:" << port_
      << "\nrgw_dns_name = localhost\n";
}

/// It dies with whoever started it.
pid_t ObjectStore::spawn(std::vector<std::string> command, const std::string& log) {
  command.insert(command.end(), {"-c", config(), "-f"});
  const pid_t pid = start_server({.command = std::move(command), .log = folder_ / "log" / log, .privileged = true});
  processes_.push_back(pid);
  return pid;
}

void ObjectStore::start_monitor() {
  const std::string map = folder_ / "monmap";
  std::string fsid;
  std::ifstream in(config());
  for (std::string word; fsid.empty() && in >> word;)
    if (word == "fsid") in >> word >> fsid;
  run_or_throw({"monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                "[v1:127.0.0.1:" + std::to_string(monitor_port_) + "]", map});
  run_or_throw({"ceph-mon", "-c", config(), "--mkfs", "-i", "a", "--monmap", map});
  spawn({"ceph-mon", "-i", "a"}, "mon.out");
}

void ObjectStore::start_storage() {
  const std::string id = uuid();
  wait_until("the monitor", [&] {
    return run({"ceph", "-c", config(), "--connect-timeout", "10", "osd", "new", id}).status == 0;
  });
  run_or_throw({"ceph-osd", "-c", config(), "-i", "0", "--mkfs", "--osd-uuid", id});
  storage_ = spawn({"ceph-osd", "-i", "0"}, "osd.out");
}

/// The daemon gives up at once when it asks the monitor for something before it has heard which cluster this is.
void ObjectStore::keep_storage() {
  if (::waitpid(storage_, nullptr, WNOHANG) != storage_) return;
  std::erase(processes_, storage_);
  storage_ = spawn({"ceph-osd", "-i", "0"}, "osd.out");
}

void ObjectStore::start_gateway() {
  spawn({"radosgw", "-n", "client.rgw.a"}, "rgw.out");
  wait_until("the gateway", [&] {
    keep_storage();
    return run({"curl", "-s", "-o", "/dev/null", address()}).status == 0;
  });
  run_or_throw({"radosgw-admin", "-c", config(), "user", "create", "--uid=kiln", "--display-name=kiln",
                std::string("--access-key=") + access_key, std::string("--secret=") + secret_key});
}

std::string ObjectStore::new_bucket() {
  const std::string url = address() + "/bucket" + std::to_string(++buckets_);
  run_or_throw({"curl", "-sSf", "-X", "PUT", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u",
                std::string(access_key) + ":" + secret_key, "-H",
                "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", url});
  return url;
}

}  // namespace kiln::test

#include "support/file_server.h"

#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "support/run.h"

namespace kiln::test {

FileServer::FileServer(const std::filesystem::path& certificate, const std::filesystem::path& key)
    : scheme_(certificate.empty() ? "http" : "https") {
  std::filesystem::create_directory(folder_ / "files");
  Server server{.command = {"python3", std::string(KILN_SUPPORT_DIR) + "/file_server.py", folder_ / "files",
                            folder_ / "requests"},
                .log = folder_ / "output",
                .privileged = true};
  if (!certificate.empty()) server.command.insert(server.command.end(), {certificate.string(), key.string()});
  pid_ = start_server(server);
  for (int tries = 0; tries < 1000 && port_ == 0; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::string line;
    std::ifstream output(folder_ / "output");
    if (std::getline(output, line) && !output.eof()) port_ = std::stoi(line);
  }
  if (port_ == 0) throw std::runtime_error("the file server does not listen");
}

FileServer::~FileServer() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void FileServer::put(const std::string& name, const std::string& content) const {
  std::ofstream(folder_ / "files" / name, std::ios::binary) << content;
}

std::vector<std::string> FileServer::requests() {
  std::vector<std::string> all;
  std::ifstream log(folder_ / "requests");
  for (std::string line; std::getline(log, line);) all.push_back(line);
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(told_));
  told_ += all.size();
  return all;
}

}  // namespace kiln::test

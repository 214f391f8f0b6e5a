// kiln ssh: becomes the real ssh, with what it has to know of the instance.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "machine/qemu.h"
#include "process/process.h"

namespace kiln::cli {
namespace {

/// A file's name as ssh_config(5) reads it: in quotes, and "%" begins a token.
std::string quoted(const std::filesystem::path& file) {
  std::string text = "\"";
  for (const char c : file.string()) text += c == '%' ? "%%" : std::string(1, c);
  return text + "\"";
}

std::uint16_t ssh_port(const Instance& instance) {
  if (instance.state != Instance::State::running)
    throw Error("\"" + instance.name + "\" is not running", "kiln start " + instance.name);
  const auto port = std::ranges::find(instance.ports, 22, &PortForward::guest);
  if (port == instance.ports.end())
    throw Error("no port of this host leads to port 22 of \"" + instance.name + "\"",
                fmt::format("kiln exec {0} and kiln console {0} need none; kiln launch --port 2222:22 makes one",
                            instance.name));
  return port->host;
}

std::vector<std::string> ssh_words(const Instance& instance, const Args& args) {
  // The keys of a guest are its own: those of another one, that had this port before, must not stand in its way.
  std::vector<std::string> words{"ssh",
                                 "-p",
                                 std::to_string(ssh_port(instance)),
                                 "-o",
                                 "UserKnownHostsFile=" + quoted(instance.folder / machine_file::known_hosts),
                                 "-o",
                                 "GlobalKnownHostsFile=/dev/null",
                                 "-o",
                                 "HostKeyAlias=" + instance.name,
                                 "-o",
                                 "StrictHostKeyChecking=accept-new",
                                 "-o",
                                 "UpdateHostKeys=no"};
  if (args.has("user")) words.insert(words.end(), {"-l", args.text("user")});
  words.push_back("127.0.0.1");
  const std::vector<std::string>& command = args.all("COMMAND");
  if (!command.empty()) words.push_back("--");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

}  // namespace

int run_ssh(Call& call) {
  const Instance instance = call.services.instances().get(call.args.text("NAME"));
  std::vector<std::string> words = ssh_words(instance, call.args);
  const std::string program = require_program("ssh").string();
  if (call.out.json()) {  // for programs, which run it themselves
    call.out.object({{"name", instance.name}, {"program", program}, {"arguments", words}});
    return 0;
  }
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  throw system_error("cannot start ssh", errno);
}

}  // namespace kiln::cli

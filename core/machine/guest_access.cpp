#include "machine/guest_access.h"

#include <thread>
#include <utility>

#include <kiln/text.h>
#include <nlohmann/json.hpp>

#include "machine/qemu.h"
#include "qmp/base64.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using nlohmann::json;
constexpr Duration busy = 30s;  // what a guest may take that has much else to do

Error nonsense(std::string_view command) {
  return Error("the guest agent answered \"" + std::string(command) + "\" with something that makes no sense");
}

/// Runs `read`, which looks into an answer: one of another form than the reference has it is the guest's fault.
template <class Read>
auto sensible(std::string_view command, const Read& read) {
  try {
    return read();
  } catch (const json::exception&) {
    throw nonsense(command);
  }
}

std::string decoded(const json& answer, const char* key, std::string_view command) {
  const auto it = answer.find(key);
  if (it == answer.end()) return {};
  auto bytes = from_base64(it->get_ref<const std::string&>());
  if (!bytes) throw nonsense(command);
  return std::move(*bytes);
}

GuestOutcome outcome_of(const json& status) {
  constexpr char command[] = "guest-exec-status";
  GuestOutcome outcome;
  outcome.exit = {status.value("exitcode", 0) & 0xff, status.value("signal", 0) & 0x7f};
  outcome.out = decoded(status, "out-data", command);
  outcome.err = decoded(status, "err-data", command);
  outcome.out_cut = status.value("out-truncated", false);
  outcome.err_cut = status.value("err-truncated", false);
  return outcome;
}

}  // namespace

std::optional<FileLock> try_lock_agent(const Instance& instance) {
  return FileLock::try_exclusive(instance.folder / machine_file::agent_lock);
}

FileLock lock_agent(const std::filesystem::path& folder, Duration limit, const std::stop_token& stop) {
  const auto until = Clock::now() + limit;
  for (;;) {
    if (auto lock = FileLock::try_exclusive(folder / machine_file::agent_lock)) return std::move(*lock);
    if (stop.stop_requested()) throw cancelled();
    if (Clock::now() >= until)
      throw Error("another kiln is talking to the agent of \"" + folder.filename().string() + "\"",
                  "try again when it is done");
    std::this_thread::sleep_for(20ms);
  }
}

GuestAccess GuestAccess::open(const Instance& instance, std::stop_token stop, Duration limit) {
  require_here(instance, "reach the guest agent of");
  if (instance.state != Instance::State::running)
    throw Error("\"" + instance.name + "\" is not running", "kiln start " + instance.name);
  FileLock lock = lock_agent(instance.folder, limit, stop);
  const auto socket = instance.folder / machine_file::agent;
  GuestAgent agent = GuestAgent::connect(socket, limit, stop);
  if (!agent.ping(limit))
    throw Error("no guest agent answers in \"" + instance.name + "\"",
                "it needs qemu-guest-agent, and time to start; kiln console " + instance.name + " shows how far it is");
  return GuestAccess(socket, std::move(lock), std::move(agent), std::move(stop));
}

void GuestAccess::set_clock(Duration limit) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  try {
    agent_.execute("guest-set-time", {{"time", std::chrono::nanoseconds(now).count()}}, limit);
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    // The agent does it with the help of hwclock only, which many small guests lack.
    const std::string seconds = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now).count());
    const GuestOutcome outcome = run({.program = "date", .args = {"-s", "@" + seconds}, .limit = limit});
    if (!outcome.exit.ok()) throw Error("the guest's clock could not be set", {}, {printable(outcome.err, 300)});
  }
}

GuestOutcome GuestAccess::run(const GuestCommand& command) {
  if (command.input.size() > longest_input)
    throw invalid("the standard input of a program in a guest is at most " + format_bytes(longest_input),
                  "copy it there as a file first: kiln cp");
  json arguments{{"path", command.program}, {"arg", command.args}, {"capture-output", true}};
  if (!command.environment.empty()) arguments["env"] = command.environment;
  if (!command.input.empty()) arguments["input-data"] = to_base64(command.input);
  const json answer = agent_.execute("guest-exec", arguments, busy);
  const auto pid = sensible("guest-exec", [&] { return answer.at("pid").get<std::int64_t>(); });
  try {
    return wait_for(pid, command);
  } catch (const Error& error) {
    if (is_cancelled(error)) kill(pid);
    throw;
  }
}

GuestOutcome GuestAccess::wait_for(std::int64_t pid, const GuestCommand& command) {
  constexpr char ask[] = "guest-exec-status";
  const auto until = Clock::now() + command.limit;
  for (Duration pause = 5ms;; pause = std::min<Duration>(pause * 2, 100ms)) {
    // Its answer may be long, and a guest without KVM slow to tell it.
    const json status = agent_.execute(ask, json{{"pid", pid}}, 60s);
    if (sensible(ask, [&] { return status.at("exited").get<bool>(); }))
      return sensible(ask, [&] { return outcome_of(status); });
    if (stop_.stop_requested()) throw cancelled();
    if (Clock::now() >= until) {
      kill(pid);
      throw Error(command.program + " did not end within " + format_duration(command.limit) + " and was killed",
                  "give it more time: --timeout");
    }
    std::this_thread::sleep_for(pause);
  }
}

void GuestAccess::kill(std::int64_t pid) noexcept {
  try {
    // A talk of its own: the present one may be stopped already, in the middle of a question.
    agent_ = GuestAgent::connect(socket_, 2s);
    const json words{"-9", std::to_string(pid)};
    agent_.execute("guest-exec", json{{"path", "kill"}, {"arg", words}}, 2s);
  } catch (const std::exception&) {
    // then it runs on: there is no other way to reach it
  }
}

GuestFile::GuestFile(GuestAccess& guest, const std::string& path, Mode mode) : agent_(guest.agent_) {
  constexpr char command[] = "guest-file-open";
  const json answer = agent_.execute(command, json{{"path", path}, {"mode", mode == Mode::read ? "r" : "w"}});
  handle_ = sensible(command, [&] { return answer.get<std::int64_t>(); });
}

GuestFile::~GuestFile() {
  try {
    close();
  } catch (const std::exception&) {
    // it is lost with the agent, or what is thrown already says why
  }
}

std::string GuestFile::read() {
  constexpr char command[] = "guest-file-read";
  const json answer = agent_.execute(command, json{{"handle", *handle_}, {"count", piece}}, busy);
  std::string bytes = sensible(command, [&] { return decoded(answer, "buf-b64", command); });
  if (bytes.size() > piece) throw nonsense(command);
  return bytes;
}

void GuestFile::write(std::string_view bytes) {
  constexpr char command[] = "guest-file-write";
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, piece);
    const json answer = agent_.execute(command, json{{"handle", *handle_}, {"buf-b64", to_base64(part)}}, busy);
    const auto count = sensible(command, [&] { return answer.at("count").get<std::uint64_t>(); });
    if (count == 0 || count > part.size()) throw nonsense(command);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void GuestFile::close() {
  if (handle_) agent_.execute("guest-file-close", json{{"handle", *std::exchange(handle_, std::nullopt)}}, busy);
}

}  // namespace kiln

// kiln exec: a program in an instance, by its guest agent. Ends with that program's status.
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <kiln/text.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "machine/guest_access.h"

namespace kiln::cli {
namespace {

/// To its end: a guest agent takes a program's input as a whole, before the program starts.
std::string standard_input() {
  std::string input;
  std::array<char, 65536> bytes;
  while (input.size() <= GuestAccess::longest_input) {
    const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    input.append(bytes.data(), static_cast<std::size_t>(n));
  }
  return input;
}

/// On a terminal nothing that a guest wrote can move the cursor.
std::string shown(std::string text, int fd) {
  if (::isatty(fd) != 1) return text;
  std::string safe;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    safe += printable(line) + "\n";
    at = end + 1;
  }
  return safe;
}

void print(Call& call, const GuestOutcome& outcome) {
  call.out.raw(shown(outcome.out, STDOUT_FILENO));
  call.out.flush();
  const std::string errors = shown(outcome.err, STDERR_FILENO);
  std::fwrite(errors.data(), 1, errors.size(), stderr);
  if (outcome.out_cut) print_warning("the guest agent kept only the first part of its standard output");
  if (outcome.err_cut) print_warning("the guest agent kept only the first part of its standard error");
}

}  // namespace

int run_exec(Call& call) {
  const std::string name = call.args.text("NAME");
  const std::vector<std::string>& words = call.args.all("PROGRAM");
  if (words.empty()) throw invalid("kiln exec: the program is missing", "kiln exec " + name + " -- PROGRAM...");
  GuestCommand command{.program = words.front(), .args = {words.begin() + 1, words.end()}};
  command.limit = call.args.duration("timeout", command.limit);
  for (const auto& [variable, value] : call.args.pairs("env")) command.environment.push_back(variable + "=" + value);
  const Instance instance = call.services.instances().get(name);
  if (call.args.has("stdin")) command.input = standard_input();
  Activity activity("running", call.out.json());
  const GuestOutcome outcome = GuestAccess::open(instance, call.stop).run(command);
  activity.end();
  if (call.out.json())
    call.out.object({{"name", name},
                     {"status", outcome.exit.signal == 0 ? Json(outcome.exit.status) : Json(nullptr)},
                     {"signal", outcome.exit.signal == 0 ? Json(nullptr) : Json(outcome.exit.signal)},
                     {"stdout", outcome.out},
                     {"stderr", outcome.err},
                     {"truncated", outcome.out_cut || outcome.err_cut}});
  else
    print(call, outcome);
  return outcome.exit.signal == 0 ? outcome.exit.status : 128 + outcome.exit.signal;
}

}  // namespace kiln::cli

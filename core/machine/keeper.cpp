#include "machine/keeper.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <utility>

#include "process/process.h"

namespace kiln {
namespace {

std::pair<Fd, Fd> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
  Fd read = lifted(ends[0]);
  return {std::move(read), lifted(ends[1])};
}

}  // namespace

Keeper start_keeper(const std::vector<std::string>& arguments, const std::string& program,
                    const std::vector<std::string>& environment) {
  auto [their_in, our_out] = make_pipe();
  auto [our_in, their_out] = make_pipe();
  const Fd nowhere = append_file({});
  spawn_daemon({.program = require_own_program(program).string(), .args = arguments, .environment = environment},
               {their_in.get(), their_out.get(), nowhere.get(), "/"});
  return {std::move(our_out), std::move(our_in)};
}

Duration milliseconds(std::string_view text) {
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return Duration(count);
}

void ignore_ends_of_sessions() {
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2}) ::signal(s, SIG_IGN);
}

}  // namespace kiln

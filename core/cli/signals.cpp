#include "cli/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <initializer_list>

#include <kiln/error.h>

namespace kiln::cli {
namespace {

// A handler has no other way to reach its object than statics.
volatile std::sig_atomic_t asked = 0;
volatile std::sig_atomic_t wake_fd = -1;

void on_signal(int) {
  if (asked != 0) ::_exit(static_cast<int>(Failure::cancelled));
  asked = 1;
  const int saved = errno;
  const char byte = 's';
  [[maybe_unused]] const auto written = ::write(wake_fd, &byte, 1);
  errno = saved;
}

void on_pipe(int) {}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {
  }, before{};
  // nohup starts us with SIGHUP ignored: then it stays so.
  if (signal == SIGHUP && ::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

constexpr std::initializer_list<int> stopping = {SIGINT, SIGTERM, SIGHUP};

}  // namespace

Signals::Signals() {
  if (::pipe2(pipe_, O_CLOEXEC) != 0) throw system_error("cannot make a pipe", errno);
  wake_fd = pipe_[1];
  // request_stop() takes locks and runs callbacks, which a handler may not: a thread does it.
  waiter_ = std::thread([this] {
    char byte = 0;
    while (::read(pipe_[0], &byte, 1) < 0 && errno == EINTR) {
    }
    if (byte == 's') source_.request_stop();
  });
  for (const int signal : stopping) handle(signal, on_signal);
  handle(SIGPIPE, on_pipe);
}

Signals::~Signals() {
  for (const int signal : stopping) handle(signal, SIG_DFL);
  const char byte = 'e';
  [[maybe_unused]] const auto written = ::write(pipe_[1], &byte, 1);
  waiter_.join();
  ::close(pipe_[0]);
  ::close(pipe_[1]);
}

}  // namespace kiln::cli

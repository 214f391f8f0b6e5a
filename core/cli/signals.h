#pragma once
// Ctrl-C and termination, turned into a stop token.

#include <stop_token>
#include <thread>

namespace kiln::cli {

/// While it lives, the first SIGINT, SIGTERM or SIGHUP asks to stop: stages end, unfinished work is removed. The second
/// one exits at once with 130. SIGPIPE does nothing: a reader that went away shows as an error of the write.
/// One at a time. Handlers, not SIG_IGN or a mask, because only those are reset in the programs that kiln starts.
class Signals {
 public:
  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  int pipe_[2] = {-1, -1};
  std::thread waiter_;
};

}  // namespace kiln::cli

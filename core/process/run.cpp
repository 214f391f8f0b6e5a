#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <deque>

#include "process/process.h"
#include "process/spawn.h"

namespace kiln {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kept_lines = 40, longest_line = 4096;

/// Cuts a stream into lines. A line over `longest_line` is handed on in its first part only.
class Lines {
 public:
  explicit Lines(std::function<void(std::string_view)> each) : each_(std::move(each)) {}

  void feed(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n') {
        flush();
      } else if (line_.size() < longest_line) {
        line_.push_back(c);
        pending_ = true;
      }
    }
  }

  void end() {
    if (pending_) flush();
  }

 private:
  void flush() {
    if (line_.ends_with('\r')) line_.pop_back();
    each_(line_);
    line_.clear();
    pending_ = false;
  }
  std::function<void(std::string_view)> each_;
  std::string line_;
  bool pending_ = false;
};

struct Pipe {
  Fd read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
    read = lifted(ends[0]);
    write = lifted(ends[1]);
    ::fcntl(read.get(), F_SETFL, O_NONBLOCK);
  }
};

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) throw_errno("cannot write " + path.string());
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

/// One run from start to end. Its destructor leaves no process behind, whatever was thrown.
class Run {
 public:
  Run(const Command& command, const RunOptions& options) : command_(command), options_(options) {
    if (!options.error_log.empty()) log_ = append_file(options.error_log);
    stop_fd_ = lifted(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const Fd in = input_file(command.input);
    Fd file;
    if (!options.output_file.empty()) {
      file = lifted(::open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
      if (!file) throw_errno("cannot write " + options.output_file.string());
    }
    const std::vector<Fd> copies = copies_to_pass(options.passed);
    pid_ = spawn_child(command, {in.get(), file ? file.get() : out_.write.get(), err_.write.get(), options.directory,
                                 numbers_of(copies)});
    pidfd_ = open_pidfd(pid_);
    out_.write.reset();
    err_.write.reset();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    if (!reaped_) reap();
  }

  Outcome operator()() {
    const std::stop_callback wake(options_.stop, [this] { ::eventfd_write(stop_fd_.get(), 1); });
    while (!ended_) step();
    reap();
    drain(out_.read, true);
    drain(err_.read, false);
    out_lines_.end();
    err_lines_.end();
    if (options_.stop.stop_requested() && stopping_) throw cancelled();
    if (timed_out_) throw overran();
    outcome_.error_lines.assign(tail_.begin(), tail_.end());
    outcome_.elapsed = std::chrono::duration_cast<Duration>(Clock::now() - start_);
    return std::move(outcome_);
  }

 private:
  void step() {
    std::array<pollfd, 4> fds{{{out_.read.get(), POLLIN, 0},
                               {err_.read.get(), POLLIN, 0},
                               {pidfd_.get(), POLLIN, 0},
                               {stopping_ ? -1 : stop_fd_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), milliseconds_left()) < 0 && errno != EINTR) throw_errno("cannot poll");
    if (fds[0].revents != 0) drain(out_.read, true);
    if (fds[1].revents != 0) drain(err_.read, false);
    if (fds[2].revents != 0) ended_ = true;
    if (fds[3].revents != 0) ask_to_end();
    const auto now = Clock::now();
    if (stopping_ && now >= kill_at_) ::kill(-pid_, SIGKILL);
    if (!stopping_ && options_.timeout > Duration(0) && now - start_ >= options_.timeout) {
      timed_out_ = true;
      ask_to_end();
    }
  }

  void ask_to_end() {
    ::kill(-pid_, SIGTERM);
    stopping_ = true;
    kill_at_ = Clock::now() + options_.grace;
  }

  int milliseconds_left() const {
    if (!stopping_ && options_.timeout <= Duration(0)) return -1;
    const auto at = stopping_ ? kill_at_ : start_ + options_.timeout;
    return static_cast<int>(
        std::clamp<std::int64_t>(std::chrono::ceil<Duration>(at - Clock::now()).count(), 0, 60'000));
  }

  void drain(Fd& pipe, bool is_output) {
    std::array<char, 65536> buffer;
    // Bounded, so that a program that never stops writing cannot keep us from the clock.
    for (int rounds = 0; pipe && rounds < 64; ++rounds) {
      const ssize_t n = ::read(pipe.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return pipe.reset();
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
      is_output ? take_output(bytes) : take_error(bytes);
    }
  }

  void take_output(std::string_view bytes) {
    if (options_.on_line) return out_lines_.feed(bytes);
    if (outcome_.output.size() + bytes.size() > options_.output_limit)
      throw Error(command_.program + " wrote more than " + format_bytes(options_.output_limit));
    outcome_.output.append(bytes);
  }

  void take_error(std::string_view bytes) {
    if (log_) write_all(log_.get(), bytes, options_.error_log);
    err_lines_.feed(bytes);
  }

  void keep(std::string_view line) {
    if (options_.on_error_line) options_.on_error_line(line);
    tail_.emplace_back(line);
    if (tail_.size() > kept_lines) tail_.pop_front();
  }

  Error overran() const {
    return Error(command_.program + " did not finish within " + format_duration(options_.timeout), {},
                 {tail_.begin(), tail_.end()});
  }

  void reap() {
    reaped_ = true;
    ::kill(-pid_, SIGKILL);  // before waitpid: until then the group's number cannot be anybody else's
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    outcome_.exit = WIFSIGNALED(status) ? Exit{0, WTERMSIG(status)} : Exit{WEXITSTATUS(status), 0};
  }

  const Command& command_;
  const RunOptions& options_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point kill_at_{};
  Pipe out_, err_;
  Fd log_, stop_fd_, pidfd_;
  pid_t pid_ = -1;
  bool ended_ = false, stopping_ = false, timed_out_ = false, reaped_ = false;
  Outcome outcome_;
  std::deque<std::string> tail_;
  Lines out_lines_{[this](std::string_view line) { options_.on_line(line); }};
  Lines err_lines_{[this](std::string_view line) { keep(line); }};
};

}  // namespace

Outcome run(const Command& command, const RunOptions& options) {
  if (options.stop.stop_requested()) throw cancelled();
  return Run(command, options)();
}

Error failure_of(const Command& command, const Outcome& outcome) {
  const std::string name = std::filesystem::path(command.program).filename().string();
  return Error(name + " " + describe(outcome.exit), {}, outcome.error_lines);
}

std::string run_checked(const Command& command, const RunOptions& options) {
  Outcome outcome = run(command, options);
  if (!outcome.exit.ok()) throw failure_of(command, outcome);
  return std::move(outcome.output);
}

}  // namespace kiln

#pragma once
// A run as a person follows it: one line for each stage on standard error. On a live terminal the line of the running
// stage is redrawn, at most ten times a second; in a pipe it is plain text, and a long stage gives a sign of life.

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "cli/terminal.h"
#include "engine/event.h"

namespace kiln::cli {

/// What the first line of a run says, and how wide its columns are.
struct RunHeader {
  bool shown = true;  ///< false: only progress and warnings, for the short verbs, whose answer says the rest
  std::vector<std::string> stages = {};  ///< names, for the width of their column
  /// "tcg (kvm failed its self-test, kiln doctor)". Asked when something is left to run; unset or empty: not shown.
  std::function<std::string()> accelerator = {};
  /// In a pipe: how often a stage that goes on gives a sign of life.
  std::chrono::milliseconds sign_of_life_every{10'000};
};

/// Measures how fast a stage goes, over the last few seconds.
class Rate {
 public:
  void add(std::chrono::steady_clock::time_point, double done);
  double per_second() const { return rate_; }  ///< 0: not known yet

 private:
  std::chrono::steady_clock::time_point last_{};
  double done_ = 0, rate_ = 0;
  bool started_ = false;
};

/// "███████████░░░░░░░░░  1.2/8.0 GiB  412.0 MiB/s  17 s left   reading": what stands behind a running stage's name.
std::string progress_text(const Progress&, double per_second);

class ConsoleObserver final : public engine::Observer {
 public:
  /// Borrows the stream, which is what `fd` is open on.
  ConsoleObserver(std::FILE* stream, int fd, RunHeader header);
  ~ConsoleObserver();
  void on(const engine::Event&) override;
  /// [any thread] Says that the request to stop was heard: ending a stage may take seconds.
  void stopping();

 private:
  struct Running {
    std::size_t number = 0;
    std::string name;
    std::chrono::steady_clock::time_point since{};
    Progress progress = {};
    bool has_progress = false;
    Rate rate = {};
  };

  void start(const engine::Event&);
  void update(const engine::Event&);
  void finish(const engine::Event&, const std::string& state, const std::string& text);
  void print_header(const engine::Event&);
  std::string label(std::size_t number, const std::string& name) const;
  void print(const std::string& line);  ///< a line that stays
  void draw(std::chrono::steady_clock::time_point now);
  void give_sign_of_life(std::chrono::steady_clock::time_point now);
  std::string running_text(std::chrono::steady_clock::time_point now) const;
  void erase();
  void tick(std::stop_token);

  std::FILE* stream_;
  int fd_;
  RunHeader header_;
  std::size_t name_width_ = 0;
  bool live_;
  std::mutex mutex_;  ///< of everything below, and of the stream
  Running running_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_draw_{};
  std::condition_variable_any woken_;
  std::jthread ticker_;  ///< last: it uses the rest
};

}  // namespace kiln::cli

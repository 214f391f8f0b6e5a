#pragma once
// What the parts of one run share.

#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "engine/chain.h"
#include "engine/event.h"
#include "engine/guarded.h"
#include "engine/runner.h"

namespace kiln::engine {

using Steady = std::chrono::steady_clock;

inline Duration since(Steady::time_point start) {
  return std::chrono::duration_cast<Duration>(Steady::now() - start);
}

/// Hands events on, one at a time. Any thread.
class Emitter {
 public:
  explicit Emitter(Observer& observer) : observer_(observer) {}
  void operator()(const Event& event) {
    const std::lock_guard lock(mutex_);
    observer_.on(event);
  }

 private:
  std::mutex mutex_;
  Observer& observer_;
};

/// A stage's log file, created with its first line. Any thread.
class StageLog {
 public:
  explicit StageLog(std::filesystem::path file) : file_(std::move(file)) {}
  void write(std::string_view line);
  /// Makes the file exist, for a program that appends to it by itself.
  const std::filesystem::path& open();

 private:
  void open_locked();
  std::mutex mutex_;
  std::filesystem::path file_;
  std::ofstream stream_;
};

struct RunState {
  RunState(const Pipeline&, const Services&, Observer&, const RunOptions&);

  std::string label(const Step& step) const {
    return "stage " + std::to_string(step.number) + " \"" + step.use + "\": ";
  }
  std::filesystem::path log_file(const Step&) const;
  void throw_if_stopped() const {
    if (stop.stop_requested()) throw cancelled();
  }

  const Pipeline& pipeline;
  const Services& services;
  std::stop_token stop;
  Emitter emit;
  Home home;
  Layers layers;
  Workspace workspace;
  std::filesystem::path logs;  ///< of this run
  Facts facts;                 ///< of the disk, so far
  std::vector<NewPart> parts;  ///< beside the disk
  std::atomic<const Step*> failed{nullptr};

  /// Calls f() on behalf of a stage: what a plugin throws becomes an Error that names the stage and its log file, and
  /// the run remembers whose it was. Any thread.
  template <class F>
  decltype(auto) as(const Step& step, F&& f) {
    try {
      return guarded(step.use, std::forward<F>(f));
    } catch (const Error& error) {
      throw blamed(step, error);
    }
  }

 private:
  Error blamed(const Step&, const Error&);
};

}  // namespace kiln::engine

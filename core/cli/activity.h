#pragma once
// Progress of a verb that runs no pipeline, drawn by the same console observer.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <kiln/context.h>

namespace kiln::cli {

class ConsoleObserver;

/// Draws on a live terminal while it lives; ends by erasing itself. `silent`: draws nothing, for --json.
class Activity {
 public:
  Activity(std::string name, bool silent);
  ~Activity();

  /// [any thread, one at a time] For the callbacks that count bytes. Must not outlive the activity.
  std::function<void(std::uint64_t done, std::uint64_t total)> bytes();
  /// [any thread, one at a time] The same, for callbacks that count things.
  std::function<void(std::size_t done, std::size_t total)> things(std::string what);
  /// Erases the line now, before an answer is printed.
  void end();

 private:
  void show(const Progress&);
  std::string name_;
  std::unique_ptr<ConsoleObserver> observer_;
};

}  // namespace kiln::cli

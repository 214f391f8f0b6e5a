#include "cli/activity.h"

#include <unistd.h>

#include "cli/console_observer.h"

namespace kiln::cli {

using Kind = engine::Event::Kind;

Activity::Activity(std::string name, bool silent) : name_(std::move(name)) {
  if (silent) return;
  observer_ = std::make_unique<ConsoleObserver>(stderr, STDERR_FILENO, RunHeader{.shown = false, .stages = {name_}});
  observer_->on({.kind = Kind::stage_started, .stage = 1, .name = name_});
}

Activity::~Activity() = default;

std::function<void(std::uint64_t, std::uint64_t)> Activity::bytes() {
  return [this](std::uint64_t done, std::uint64_t total) {
    if (!observer_) return;
    const Progress progress{Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(total)};
    observer_->on({.kind = Kind::stage_progress, .stage = 1, .name = name_, .progress = progress});
  };
}

void Activity::end() {
  observer_.reset();
}

}  // namespace kiln::cli

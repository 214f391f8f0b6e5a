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

void Activity::show(const Progress& progress) {
  if (observer_) observer_->on({.kind = Kind::stage_progress, .stage = 1, .name = name_, .progress = progress});
}

std::function<void(std::uint64_t, std::uint64_t)> Activity::bytes() {
  return [this](std::uint64_t done, std::uint64_t total) {
    show({Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(total)});
  };
}

std::function<void(std::size_t, std::size_t)> Activity::things(std::string what) {
  return [this, what = std::move(what)](std::size_t done, std::size_t total) {
    show({Progress::Unit::operations, static_cast<double>(done), static_cast<double>(total), what});
  };
}

void Activity::end() {
  observer_.reset();
}

}  // namespace kiln::cli

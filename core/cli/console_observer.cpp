#include "cli/console_observer.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cli/errors.h"

namespace kiln::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = engine::Event::Kind;
using namespace std::chrono_literals;

constexpr std::size_t bar_cells = 20;
constexpr auto redraw_every = 100ms;

std::string bar(double part) {
  const auto full = static_cast<std::size_t>(std::lround(std::clamp(part, 0.0, 1.0) * bar_cells));
  std::string text;
  for (std::size_t i = 0; i < bar_cells; ++i) text += i < full ? "█" : "░";
  return text;
}

std::string bytes(double count) {
  return format_bytes(static_cast<std::uint64_t>(std::max(0.0, count)));
}

std::string amount(const Progress& p, double per_second) {
  const bool bounded = p.total > 0;
  if (!bounded && p.done <= 0) return "";
  std::string text;
  switch (p.unit) {
    case Progress::Unit::bytes:
      text = bounded ? fmt::format("{} of {}", bytes(p.done), bytes(p.total)) : bytes(p.done);
      if (per_second > 0) text += fmt::format("  {}/s", bytes(per_second));
      break;
    case Progress::Unit::operations:
      text =
          bounded ? fmt::format("{:.0f}/{:.0f} operations", p.done, p.total) : fmt::format("{:.0f} operations", p.done);
      break;
    case Progress::Unit::fraction:
      text = bounded ? fmt::format("{:.0f} %", 100 * p.done / p.total) : "";
      break;
  }
  if (bounded && per_second > 0 && p.done < p.total && p.unit != Progress::Unit::operations) {
    const double seconds = std::ceil((p.total - p.done) / per_second);
    if (seconds < 1e6) text += fmt::format("  {:.0f} s left", seconds);
  }
  return text;
}

}  // namespace

void Rate::add(Clock::time_point now, double done) {
  if (!started_ || done < done_) {  // a new phase counts from the start again
    *this = {};
    started_ = true;
    last_ = now;
    done_ = done;
    return;
  }
  const double seconds = std::chrono::duration<double>(now - last_).count();
  if (seconds < 0.2) return;
  const double current = (done - done_) / seconds;
  // Weighs the last three seconds or so: steady to look at, and soon right after a change of pace.
  const double weight = rate_ > 0 ? 1 - std::exp(-seconds / 3) : 1;
  rate_ += (current - rate_) * weight;
  last_ = now;
  done_ = done;
}

std::string progress_text(const Progress& p, double per_second) {
  std::string text = p.total > 0 ? bar(p.done / p.total) + "  " : "";
  text += amount(p, per_second);
  if (!p.what.empty()) text += (text.empty() ? "" : "   ") + printable(p.what);
  return text;
}

ConsoleObserver::ConsoleObserver(std::FILE* stream, int fd, RunHeader header)
    : stream_(stream), fd_(fd), header_(std::move(header)), live_(terminal_of(fd).live) {
  for (const std::string& name : header_.stages) name_width_ = std::max(name_width_, width_of(printable(name)));
  ticker_ = std::jthread([this](std::stop_token stop) { tick(std::move(stop)); });
}

ConsoleObserver::~ConsoleObserver() {
  ticker_ = {};
  const std::lock_guard lock(mutex_);
  erase();
}

void ConsoleObserver::on(const engine::Event& event) {
  const std::lock_guard lock(mutex_);
  switch (event.kind) {
    case Kind::run_started:
      return print_header(event);
    case Kind::stage_started:
      return start(event);
    case Kind::stage_progress:
      return update(event);
    case Kind::stage_cached:
      return finish(event, "cached", event.text);
    case Kind::stage_done:
      return finish(event, format_duration(event.elapsed), event.text);
    case Kind::stage_failed:
      return finish(event, "failed", "after " + format_duration(event.elapsed));
    case Kind::warning: {
      const Style style(live_);
      const std::string where =
          event.stage == 0 ? "" : fmt::format("stage {} \"{}\": ", event.stage, printable(event.name));
      return print(fmt::format("{}warning:{} {}{}", style.yellow, style.reset, where, printable(event.text)));
    }
    case Kind::finding:
      return print(render(*event.finding, Style(live_)));
    case Kind::log:
    case Kind::run_done:
    case Kind::run_failed:
      return;
  }
}

void ConsoleObserver::stopping() {
  const std::lock_guard lock(mutex_);
  print("stopping: what is unfinished is removed, what is sealed stays (a second Ctrl-C ends kiln at once)");
}

void ConsoleObserver::print_header(const engine::Event& event) {
  if (!header_.shown) return;
  std::string line =
      fmt::format("{}  {} {}", printable(event.name), event.stages, event.stages == 1 ? "stage" : "stages");
  if (event.cached > 0) line += fmt::format(", {} cached", event.cached);
  const bool idle = event.cached == event.stages;
  const std::string accelerator = header_.accelerator && !idle ? header_.accelerator() : "";
  if (!accelerator.empty()) {
    const std::string note = "accelerator: " + accelerator;
    const std::size_t columns = std::min(terminal_of(fd_).columns, 110U);
    const std::size_t used = width_of(line) + width_of(note);
    line += std::string(columns > used + 3 ? columns - used : 3, ' ') + note;
  }
  print(line);
}

void ConsoleObserver::start(const engine::Event& event) {
  running_ = {.number = event.stage, .name = event.name, .since = Clock::now()};
  last_draw_ = live_ ? Clock::time_point{} : Clock::now();
  if (live_) draw(Clock::now());
}

void ConsoleObserver::update(const engine::Event& event) {
  const auto now = Clock::now();
  if (running_.number != event.stage)
    running_ = {.number = event.stage, .name = event.name, .since = now - event.elapsed};
  if (running_.progress.what != event.progress.what || running_.progress.unit != event.progress.unit)
    running_.rate = {};
  running_.progress = event.progress;
  running_.has_progress = true;
  running_.rate.add(now, event.progress.done);
  if (live_) {
    if (now - last_draw_ >= redraw_every) draw(now);
  } else {
    give_sign_of_life(now);
  }
}

void ConsoleObserver::give_sign_of_life(Clock::time_point now) {
  if (running_.number == 0 || now - last_draw_ < header_.sign_of_life_every) return;
  last_draw_ = now;
  print(running_text(now));
}

std::string ConsoleObserver::running_text(Clock::time_point now) const {
  const std::string elapsed = format_duration(std::chrono::duration_cast<Duration>(now - running_.since));
  std::string text = label(running_.number, running_.name);
  if (!running_.has_progress) return text + pad(elapsed, 10, true);
  // Without an amount that grows, the time is what shows that it is alive.
  const bool counts = running_.progress.total > 0 || running_.progress.done > 0;
  if (!counts) text += pad(elapsed, 10, true) + "   ";
  return text + progress_text(running_.progress, running_.rate.per_second());
}

void ConsoleObserver::finish(const engine::Event& event, const std::string& state, const std::string& text) {
  const Style style(live_);
  const bool failed = event.kind == Kind::stage_failed;
  const char* color = failed ? style.red : event.kind == Kind::stage_cached ? style.dim : "";
  std::string line = label(event.stage, event.name);
  line += fmt::format("{}{}{}", color, pad(state, 10, true), *color != '\0' ? style.reset : "");
  if (!text.empty()) line += "   " + printable(text);
  if (header_.shown) print(line);
  if (running_.number == event.stage) running_ = {};
}

std::string ConsoleObserver::label(std::size_t number, const std::string& name) const {
  if (!header_.shown) return pad(printable(name), name_width_) + "  ";
  return fmt::format("{:>2} {}  ", number, pad(printable(name), name_width_));
}

void ConsoleObserver::print(const std::string& line) {
  erase();
  std::fputs((line + "\n").c_str(), stream_);
  std::fflush(stream_);
}

void ConsoleObserver::draw(Clock::time_point now) {
  if (running_.number == 0) return;
  std::fputs(("\r\x1b[2K" + fit(running_text(now), terminal_of(fd_).columns - 1)).c_str(), stream_);
  std::fflush(stream_);
  drawn_ = true;
  last_draw_ = now;
}

void ConsoleObserver::erase() {
  if (drawn_) std::fputs("\r\x1b[2K", stream_);
  drawn_ = false;
}

void ConsoleObserver::tick(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    woken_.wait_for(lock, stop, std::min<Clock::duration>(250ms, header_.sign_of_life_every), [] { return false; });
    const auto now = Clock::now();
    if (stop.stop_requested()) return;
    if (!live_)
      give_sign_of_life(now);
    else if (now - last_draw_ >= 250ms)
      draw(now);
  }
}

}  // namespace kiln::cli

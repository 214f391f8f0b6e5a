#include "machine/point.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include <kiln/random.h>

namespace kiln {

std::string_view to_text(Consistency consistency) {
  switch (consistency) {
    case Consistency::crash_consistent:
      return "crash-consistent";
    case Consistency::quiesced:
      return "quiesced";
    case Consistency::stopped:
      return "stopped";
  }
  return "";
}

std::string next_capture_id(const std::vector<std::string>& earlier) {
  unsigned last = 0;
  for (const std::string& name : earlier) {
    unsigned number = 0;
    if (std::sscanf(name.c_str(), "kiln-%6u-", &number) == 1) last = std::max(last, number);
  }
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%06u", (last + 1) % 1'000'000);
  return std::string("kiln-") + text.data() + "-" + random_hex(8);
}

void require_consistency(const CaptureSpec& spec, const std::string& machine, const Point& point) {
  if (point.consistency >= spec.least) return;
  const bool stopped = spec.least == Consistency::stopped;
  throw refused(
      machine + (stopped ? " is not shut off" : " cannot be captured quiesced"),
      stopped ? "shut it down first, or ask for less with --require" : "mend that, or ask for less with --require",
      {point.warning});
}

void describe(const Point& point, Capture& capture) {
  if (!point.warning.empty()) capture.warnings.push_back(point.warning);
  capture.facts["capture.consistency"] = std::string(to_text(point.consistency));
  if (point.frozen != Duration(0)) capture.facts["capture.freeze_ms"] = std::to_string(point.frozen.count());
  if (!point.hooks.empty()) capture.facts["capture.hooks"] = point.hooks;
}

Point PointTaker::with(Freeze freeze) const {
  if (freeze.answer() == Freeze::Answer::no_agent) return without_freeze("no guest agent answers", freeze.words());
  if (freeze.answer() == Freeze::Answer::refused) return without_freeze(freeze.words(), freeze.words());
  take();
  const Freeze::Report report = freeze.thaw();
  Point point{.frozen = report.frozen, .hooks = report.words.empty() ? "passed" : report.words};
  if (report.held && freeze.file_systems() != 0)
    point.consistency = Consistency::quiesced;
  else if (report.held)
    point.warning = "the guest agent has frozen none of the guest's file systems";
  else
    point.warning = "the guest had to be thawed before the point in time was taken";
  if (!report.thawed)
    point.warning = "the guest agent has not said yet that the file systems are thawed; it is asked on for ten minutes";
  require_consistency(spec, machine, point);
  return point;
}

Point PointTaker::without_freeze(const std::string& why, const std::string& hooks) const {
  const Point point{.hooks = hooks, .warning = why};
  require_consistency(spec, machine, point);
  take();
  return point;
}

}  // namespace kiln

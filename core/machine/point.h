#pragma once
// The point in time of a capture, and how good it is.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/machine.h>

#include "machine/freeze.h"

namespace kiln {

struct Point {
  Consistency consistency = Consistency::crash_consistent;
  Duration frozen{};
  std::string hooks = {};    ///< "passed", or what the agent said
  std::string warning = {};  ///< why it is not quiesced
};

/// "crash-consistent", "quiesced", "stopped".
std::string_view to_text(Consistency);

/// "kiln-<number>-<random>": a capture's name on the disks. Numbers ascend, so that the names of several captures that
/// came to nothing can be put in order.
std::string next_capture_id(const std::vector<std::string>& earlier);

/// Throws refused() when the spec wants more than that.
void require_consistency(const CaptureSpec&, const std::string& machine, const Point&);
/// Adds the facts and the warning.
void describe(const Point&, Capture&);

/// How all disks' point in time is taken: take() does it, whatever the guest is doing then. What the spec refuses is
/// not taken, where that can be known before.
struct PointTaker {
  const CaptureSpec& spec;
  std::string machine;  ///< for messages
  std::function<void()> take;

  /// Takes it, and thaws the guest at once.
  Point with(Freeze) const;
  Point without_freeze(const std::string& why, const std::string& hooks = {}) const;
};

}  // namespace kiln

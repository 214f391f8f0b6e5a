#pragma once
// Runs a pipeline: source, changes, sinks, in order; from the deepest sealed layer on.

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "engine/event.h"
#include "engine/pipeline.h"

namespace kiln::engine {

/// A running appliance with one disk. The engine moves it from a stage's overlay to the next one's.
class Appliance {
 public:
  virtual ~Appliance() = default;
  virtual Guest& guest() = 0;
  /// Everything written so far is in the file, the file is let go, and `disk` takes its place.
  virtual void move_to(const std::filesystem::path& disk) = 0;
  /// Flushes and ends. Afterwards the file is complete.
  virtual void close() = 0;
};

/// What an appliance may use of the stage that runs at the moment.
struct ApplianceHooks {
  std::function<void(std::string_view)> log;
  std::stop_token stop;
};

/// Starts an appliance on a disk file of Services::layer_format.
using StartAppliance = std::function<std::unique_ptr<Appliance>(const std::filesystem::path& disk, ApplianceHooks)>;

/// Everything a run needs from outside, given by the caller; all of it outlives the run.
struct Services {
  const Registry& registry;
  Catalog& catalog;
  Machines& machines;
  StartAppliance start_appliance;
  /// Runs a host program for Context::exec: its output, or Error.
  std::function<std::string(const Command&, const std::filesystem::path& folder, std::stop_token)> exec;
  std::filesystem::path home;  ///< $KILN_HOME: layers/, done/, cache/, logs/
  const Format& layer_format;  ///< what a base layer is written in, and how layers are read
  unsigned threads = 0;        ///< of a pass; 0: one per core
};

struct RunOptions {
  std::vector<std::string> again;  ///< stages to run whatever the cache holds, by name or number
  std::stop_token stop;
};

struct RunResult {
  Facts facts;  ///< of the disk, at the end
  Duration elapsed{};
  std::size_t cached = 0, ran = 0;
};

/// Tells the observer everything. Throws the Error that ended it, its text starting with `stage 4 "boot": `. Sealed
/// layers stay, everything else of an unfinished run is removed.
RunResult run(const Pipeline&, const Services&, Observer&, const RunOptions& = {});

}  // namespace kiln::engine

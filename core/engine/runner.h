#pragma once
// Runs a pipeline: source, changes, sinks, in order; from the deepest sealed layer on.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "engine/event.h"
#include "engine/pipeline.h"

namespace kiln::engine {

/// What an appliance is started with.
struct ApplianceStart {
  std::filesystem::path disk;     ///< of Services::layer_format; its backing files are sealed layers
  std::filesystem::path run_dir;  ///< an existing private folder, removed after the run
  std::stop_token stop;
};

/// A running appliance with one disk. The engine moves it from a stage's overlay to the next one's.
class Appliance {
 public:
  virtual ~Appliance() = default;  ///< ends it at once; what was not flushed may be lost
  virtual Guest& guest() = 0;
  /// One pair of receivers for each stage.
  virtual void listen(std::function<void(std::string_view)> log, std::function<void(const Progress&)> progress) = 0;
  /// Everything written so far is in the old file, which is let go; from here on writes go to `disk`, an empty overlay
  /// of the same size. The backing file that its header names need not exist yet.
  virtual void move_to(const std::filesystem::path& disk) = 0;
  /// Flushes and ends. Afterwards the file is complete.
  virtual void close() = 0;
};

using StartAppliance = std::function<std::unique_ptr<Appliance>(const ApplianceStart&)>;

/// The libguestfs appliance. `force_tcg` as the accelerator probe says; `sandboxed` false: --no-sandbox.
StartAppliance guestfs_appliance(bool force_tcg, bool sandboxed = true);

/// A sink is about to get the disk that was made from an image of the catalog.
struct HandOver {
  std::string stage;              ///< the sink's name
  std::string image;              ///< id of the image that the source has opened
  std::optional<Digest> content;  ///< of the disk as it is now; nothing: it is as the source has given it
};

/// Everything a run needs from outside, given by the caller; all of it outlives the run.
struct Services {
  const Registry& registry;
  Catalog& catalog;
  Machines& machines;
  StartAppliance start_appliance;
  std::filesystem::path home;  ///< $KILN_HOME: layers/, done/, cache/, logs/
  const Format& layer_format;  ///< what a base layer is written in, and how layers are read
  unsigned threads = 0;        ///< of a pass; 0: one per core
  bool sandboxed = true;       ///< false: --no-sandbox, for programs that see bytes of strangers
  std::string account = {};    ///< as whom the catalog is used; empty: there is only one
  /// Asked before a sink gets a byte: throws refused() when the image may be built from, but not handed on like this.
  /// Empty: not asked.
  std::function<void(const HandOver&)> allow = {};
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

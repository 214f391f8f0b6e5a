#pragma once
// One read of the disk for all sinks that can share it, and for the base layer when a later stage needs a file.

#include <memory>
#include <vector>

#include "disk/manifest.h"
#include "engine/stage_context.h"

namespace kiln::engine {

struct PassRequest {
  const BlockReader& reader;
  const Step& reads;                ///< whose fault it is when reading fails
  const Manifest* known = nullptr;  ///< of this very disk
  LayerDraft* base = nullptr;       ///< written as well, and complete afterwards, but not sealed
  std::vector<std::unique_ptr<StageContext>>* stages = nullptr;  ///< their consumers take part
};

/// Offers the disk to all of them. finish() is called on the base's sinks only. An Error names the stage that failed.
PassResult run_pass(RunState&, const PassRequest&);

}  // namespace kiln::engine

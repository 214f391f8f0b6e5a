#pragma once
// Plugins of the build tree, for tests of one format or stage without the engine.

#include <string>

#include <kiln/plugin.h>

namespace kiln::test {

/// Loads kiln-format-<name>.so or kiln-stage-<name>.so. The test program must depend on the target of that name
/// (add_dependencies). Throws std::runtime_error when it cannot be loaded.
const Format& load_format(const std::string& name);
const Stage& load_stage(const std::string& name);

}  // namespace kiln::test

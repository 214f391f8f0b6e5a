#pragma once
// Plugins of the build tree, for tests of one format or stage without the engine.

#include <string>
#include <vector>

#include <kiln/plugin.h>

namespace kiln::test {

/// Loads kiln-format-<name>.so or kiln-stage-<name>.so. The test program must depend on the target of that name
/// (add_dependencies). Throws std::runtime_error when it cannot be loaded.
const Format& load_format(const std::string& name);
const Stage& load_stage(const std::string& name);

/// Gives a pipeline's values their types by the stage's own declaration. Adds what is wrong, "param: what", to `wrong`.
Table typed_for(const Stage&, const Table& given, std::vector<std::string>& wrong);
/// What a pipeline with these values would be told, "param: what" in order: by the types, then by the stage's check().
std::vector<std::string> problems_of(const Stage&, const Table& given);

}  // namespace kiln::test

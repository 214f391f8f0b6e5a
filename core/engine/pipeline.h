#pragma once
// A pipeline: stages in order, each bound to parameters that were validated. It is made from a TOML file or, for the
// short verbs (import, convert …), from memory; from there on there is one code path.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <kiln/stage.h>

#include "engine/diagnostics.h"
#include "engine/registry.h"

namespace kiln::engine {

/// One stage of a pipeline: which, and with what.
struct Step {
  std::size_t number = 0;        ///< from 1
  std::string use;               ///< the stage's name
  const Stage* stage = nullptr;  ///< immortal
  Table params;                  ///< typed and valid against stage->about().params; without the defaults
  Place place = {};              ///< of its [[stage]]
};

struct Pipeline {
  std::string name;
  std::filesystem::path file;  ///< as the user gave it; empty when made in memory
  std::vector<Step> steps;
};

/// A pipeline, or what is wrong with it. Valid exactly when `problems` is empty.
struct Loaded {
  Pipeline pipeline;
  std::vector<Diagnostic> problems;

  bool ok() const { return problems.empty(); }
};

/// Values given on the command line: `--set name=value`. Order does not matter.
using Settings = std::map<std::string, std::string, std::less<>>;

/// Reads, substitutes and checks a file; nothing is run and no image is read. Problems of the file's content are
/// returned; a file that cannot be read is one of them. `cwd`: what a path given by --set is relative to.
Loaded load_pipeline(const std::filesystem::path& file, const Registry&, const Settings& set = {},
                     const std::filesystem::path& cwd = std::filesystem::current_path());

/// A stage as a verb asks for it. Values may be as a TOML file has them (strings for sizes, durations and paths) or
/// already typed. Relative paths are relative to `cwd`.
struct StageCall {
  std::string use;
  Table params;
};
Loaded make_pipeline(const std::string& name, const std::vector<StageCall>&, const Registry&,
                     const std::filesystem::path& cwd = std::filesystem::current_path());

}  // namespace kiln::engine

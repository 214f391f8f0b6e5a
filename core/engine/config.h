#pragma once
// What a user has settled for all runs: $KILN_HOME/config.toml.

#include <filesystem>
#include <string>

namespace kiln::engine {

/// As written; empty where nothing is.
struct Config {
  std::string account;  ///< as whom the catalog is used
  std::string catalog;  ///< where its records are: "postgresql://user@host/name"
};

/// A file that is not there is an empty one. Throws invalid() that names file, line and column of the first mistake,
/// proposes the nearest setting, and lists the other mistakes as evidence.
Config read_config(const std::filesystem::path& file);

}  // namespace kiln::engine

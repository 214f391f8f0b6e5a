#pragma once
// What a user has settled for all runs: $KILN_HOME/config.toml.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kiln::engine {

/// A [region.NAME]: a folder or a bucket, where images are copied to and from. As written; empty where nothing is.
struct RegionConfig {
  std::string name = {};
  std::string folder = {};           ///< of another catalog; an absolute path
  std::string bucket = {};           ///< "https://host/bucket"
  std::string region = {};           ///< what the object store calls its region
  std::string access_key = {};       ///< empty: $AWS_ACCESS_KEY_ID
  std::string secret_key_file = {};  ///< an absolute path; empty: $AWS_SECRET_ACCESS_KEY
};

/// [billing]: what is paid for what is kept. Billionths of the currency, and of a GB.
struct Billing {
  std::string currency = {};
  std::optional<std::int64_t> per_gb_month = {}, per_image_month = {};
  std::optional<std::int64_t> free_gb = {};  ///< of each owner and region
};

/// As written; empty where nothing is.
struct Config {
  std::string account;                     ///< as whom the catalog is used
  std::string catalog;                     ///< where its records are: "postgresql://user@host/name"
  std::string catalog_folder;              ///< where its bytes are; an absolute path. Empty: in the home
  std::string signing_key;                 ///< the key that signs every image that is published
  std::vector<RegionConfig> regions = {};  ///< by name
  Billing billing = {};
};

/// A file that is not there is an empty one. Throws invalid() that names file, line and column of the first mistake,
/// proposes the nearest setting, and lists the other mistakes as evidence.
Config read_config(const std::filesystem::path& file);

}  // namespace kiln::engine

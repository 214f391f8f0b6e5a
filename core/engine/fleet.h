#pragma once
// Which instances there shall be, as a file says it.
//
//     [fleet]
//     name = "shop"
//
//     [[instance]]
//     name     = "web-#"          # # is the number; also what the group is known by
//     image    = "web:stable"
//     count    = 3
//     memory   = "1G"
//     ports    = ["auto:80"]
//     ssh_keys = ["deploy.pub"]   # files, relative to this one
//
// Only reads: what the texts mean is checked by whoever launches.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kiln::engine {

/// An [[instance]]: as many as `count` says, all alike. As written; empty where nothing is.
struct FleetGroup {
  std::size_t line = 0;
  std::string name = {}, image = {};
  std::int64_t count = 1, cpus = 0;
  std::string memory = {}, disk_size = {}, disk_bus = {}, nic = {}, network = {}, firmware = {};
  std::string driver = {}, connect = {};
  std::vector<std::string> ports = {};
  std::vector<std::filesystem::path> ssh_keys = {};
  std::optional<std::filesystem::path> user_data = {};
};

struct Fleet {
  std::string name;
  std::vector<FleetGroup> groups;
};

/// Throws invalid() that names file, line and column of the first mistake and proposes the nearest setting; the other
/// mistakes are its evidence.
Fleet read_fleet(const std::filesystem::path&);

}  // namespace kiln::engine

#pragma once
// A volume's file from the host that has it.

#include <filesystem>
#include <stop_token>
#include <string>

#include "libvirt/connection.h"

namespace kiln {

/// Copies the file or device `path` of the host's, container and all, to `into`, which must not exist. Holes stay
/// holes. Throws Error when it is in none of the host's storage pools.
void download(const Connection&, const std::string& path, const std::filesystem::path& into, const std::stop_token&);

}  // namespace kiln

#pragma once
// What is to be launched, as it is written on the command line or in a fleet's file.

#include <filesystem>
#include <string>
#include <vector>

#include <kiln/machine.h>

#include "cli/args.h"

namespace kiln::cli {

/// "2222:22", "auto:22". Throws invalid() that names `option`.
PortForward port_forward(const std::string& text, std::string_view option);
/// The key lines of a file with public keys, without comments and empty lines. A private key is refused().
std::vector<std::string> public_keys(const std::filesystem::path&);

/// All but `image`, which need not be an argument's.
LaunchSpec launch_spec(const Args&);

}  // namespace kiln::cli

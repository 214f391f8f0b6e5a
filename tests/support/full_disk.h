#pragma once
// A disk that is too small: a tmpfs in a mount namespace of its own, so that nothing is left, whatever the test does.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace kiln::test {

/// Runs `body` in a child process with an empty folder that holds about `bytes` bytes, and returns what it returns (up
/// to 64 KiB). Nothing when the host allows no such mount: then GTEST_SKIP. What `body` throws comes back as "threw:
/// ...".
std::optional<std::string> on_small_disk(std::uint64_t bytes,
                                         const std::function<std::string(const std::filesystem::path&)>& body);

/// What a folder holds, names joined by a space.
std::string names_in(const std::filesystem::path&);

}  // namespace kiln::test

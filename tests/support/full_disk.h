#pragma once
// A disk that is too small: a tmpfs in a mount namespace of its own, so that nothing is left, whatever the test does.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace kiln::test {

/// Runs `body` in a child process with an empty folder that holds about `bytes` bytes. What it EXPECTs or throws counts
/// for the test that calls. Marks the test as skipped when the host allows no such mount; in CI it
/// fails.
void on_small_disk(std::uint64_t bytes, const std::function<void(const std::filesystem::path&)>& body);

/// What a folder holds, names joined by a space.
std::string names_in(const std::filesystem::path&);

}  // namespace kiln::test

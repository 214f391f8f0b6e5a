#pragma once
// How this format reports what is wrong with a file: one fact, the proof, what to do.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <kiln/error.h>

namespace kiln::qcow2 {

/// The structures contradict the specification or each other. `evidence` names the structure and the value.
Error damaged(const std::filesystem::path& file, std::string evidence);

/// `what` would end at byte `end`, and the file ends before. Never read as zeros, as other readers do.
Error truncated(const std::filesystem::path& file, const std::string& what, std::uint64_t end, std::uint64_t file_size);

/// "0x1f0000": how offsets are written in evidence.
std::string hex(std::uint64_t value);

/// A stranger's text, safe for a terminal and for a log: quoted, everything but printable ASCII escaped, at most 200
/// characters.
std::string printable(std::string_view text);

}  // namespace kiln::qcow2

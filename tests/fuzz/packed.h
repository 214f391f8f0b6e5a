#pragma once
// Formats whose smallest file has megabytes of holes, and perhaps checksums over most of the rest: a fuzzer would
// change nothing but holes, and never get past the first checksum.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace kiln::fuzz {

/// The input that as_file() makes the file of again.
std::vector<std::byte> as_input(const std::string& format, std::vector<std::byte> file);

/// The file that an input stands for. For most formats it is the input. For bochs, vdi, vhd and vhdx the input is a
/// head of 8 bytes (whether checksums are made to fit, how many bytes the last sector lacks, how many sectors the file
/// has) and the sectors that are not zeros, each after its number.
std::vector<std::byte> as_file(const std::string& format, std::span<const std::byte> input);

}  // namespace kiln::fuzz

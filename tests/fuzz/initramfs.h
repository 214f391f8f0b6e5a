#pragma once
// One hostile initramfs: whatever the bytes are, the answer is a list of modules or an Error.

#include <span>
#include <string>
#include <vector>

#include "seeds.h"

namespace kiln::fuzz {

/// Reads it as preflight does. Returns what is wrong with kiln, or nothing: an exception that is no kiln::Error, a
/// module that nobody asked for, other modules when the same bytes are compressed.
std::string exercise_initramfs(std::span<const std::byte>);

/// Archives of a few hundred bytes: alone, one after the other, in every compression that kiln knows.
std::vector<Seed> initramfs_seeds();

}  // namespace kiln::fuzz

#pragma once
// A guest of a few megabytes that libguestfs takes for an operating system, with a shell in it, made without root.

#include <cstdint>
#include <filesystem>
#include <string>

namespace kiln::test {

/// Fills an empty folder with the tree of "Tiny Linux 1.2": busybox, accounts (root, and "old" with uid 1000), fstab.
void make_tiny_root(const std::filesystem::path& folder);

/// Where the file system of a tiny disk lies.
enum class Layout { gpt, mbr, whole_disk };
/// The first byte of the file system in a tiny disk with partitions.
inline constexpr std::uint64_t tiny_offset = 1u << 20;

/// A qcow2 of `size` bytes whose only file system (ext4, made of `root`) takes all the room. fstab is not touched.
void make_tiny_disk(const std::filesystem::path& qcow2, const std::filesystem::path& root, std::uint64_t size,
                    Layout layout = Layout::gpt, unsigned block_size = 4096);

/// An empty overlay on a qcow2.
void make_overlay(const std::filesystem::path& qcow2, const std::filesystem::path& below);

/// What debugfs (e2fsprogs), the oracle, answers about the ext4 file system of a disk: "cat /etc/hostname".
std::string debugfs(const std::filesystem::path& qcow2, const std::string& request, Layout layout = Layout::gpt);

}  // namespace kiln::test

#pragma once
// What is wrong with a disk that comes from outside, under names that scripts can rely on. An Error with a code is a
// finding that nothing goes on after; what can be lived with is a Finding.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/error.h>

namespace kiln {

class File;

/// `security`: no --force gets past it. `error`: the machine would not start or not be reachable. `warning`: it may.
enum class Severity { note, warning, error, security };
KILN_API std::string_view name_of(Severity);

/// One thing that a check found.
struct Finding {
  std::string code;  ///< of namespace code
  Severity severity = Severity::note;
  std::string what;                        ///< one fact: lower case, no full stop
  std::vector<std::string> evidence = {};  ///< file, offset, value
  std::string hint = {};                   ///< how to mend it
  bool mendable = false;                   ///< kiln does it: import with fix = true
};

/// What stopped a reader, as a finding: a refusal is one of security.
KILN_API Finding finding_of(const Error&);

/// The names. Where cloud services have one already it is theirs.
namespace code {
// Containers: nothing is read of a disk that has one of these.
inline constexpr std::string_view ambiguous_format = "AmbiguousFormat";  ///< two formats claim the file
inline constexpr std::string_view backing_file = "BackingFile";          ///< it is an overlay: of a file or a URL
inline constexpr std::string_view checksum = "ChecksumMismatch";         ///< a structure's own checksum
inline constexpr std::string_view damaged = "Damaged";                   ///< structures contradict each other
inline constexpr std::string_view data_file = "DataFile";                ///< the data is in another file
inline constexpr std::string_view disk_too_large = "DiskTooLarge";       ///< more than the limit
inline constexpr std::string_view encrypted = "Encrypted";
inline constexpr std::string_view external_extent = "ExternalExtent";  ///< a descriptor names what it may not
inline constexpr std::string_view format_mismatch = "FormatMismatch";  ///< said to be another one
inline constexpr std::string_view hash_mismatch = "HashMismatch";      ///< a digest that was expected
inline constexpr std::string_view invalid_size = "InvalidFormatSize";  ///< impossible, or none
inline constexpr std::string_view log_replayed = "LogReplayed";        ///< what a crash left undone was done, in memory
inline constexpr std::string_view nested_format = "NestedFormat";      ///< the disk begins as a container
inline constexpr std::string_view overlap = "Overlap";                 ///< two things in one place
inline constexpr std::string_view parent_needed = "ParentNeeded";      ///< a differencing disk
inline constexpr std::string_view truncated = "Truncated";
inline constexpr std::string_view unknown_format = "UnknownFormat";
inline constexpr std::string_view unsupported = "UnsupportedFeature";
// Archives and addresses.
inline constexpr std::string_view bad_signature = "SignatureMismatch";  ///< of a list of checksums
inline constexpr std::string_view archive = "UnsafeArchive";            ///< links, paths, twins, several of what is one
inline constexpr std::string_view bomb = "RatioExceeded";               ///< it unpacks to more than is plausible
inline constexpr std::string_view invalid_url = "InvalidUrl";
inline constexpr std::string_view manifest = "ManifestMismatch";       ///< of an OVA
inline constexpr std::string_view not_a_file = "NotAFile";             ///< a device, a socket, a link, a folder
inline constexpr std::string_view private_address = "PrivateAddress";  ///< a URL that leads inside
// The system on the disk.
inline constexpr std::string_view no_boot_loader = "BootLoaderMissing";  ///< or the kernel
inline constexpr std::string_view no_cloud_init = "CloudInitNotInstalled";
inline constexpr std::string_view no_partition = "PartitionNotPresent";
inline constexpr std::string_view no_root = "RootPartitionNotFound";
inline constexpr std::string_view no_virtio = "VirtioNotInstall";
inline constexpr std::string_view fstab_foreign = "FstabForeignMount";
inline constexpr std::string_view fstab_unstable = "FstabUnstableName";
inline constexpr std::string_view no_uefi_fallback = "UefiFallbackMissing";
inline constexpr std::string_view secrets = "SecretsFound";
inline constexpr std::string_view static_network = "StaticNetwork";
inline constexpr std::string_view vendor_tools = "VendorGuestTools";
}  // namespace code

// How a reader says what is wrong: one fact, the proof, what to do.

/// The structures contradict the specification or each other. `evidence` names the structure, the offset, the value.
KILN_API Error damaged(const File&, std::string evidence, std::string_view name = code::damaged);
/// `what` would end at byte `end`, and the file ends before. Never read as zeros, as other readers do.
KILN_API Error truncated(const File&, const std::string& what, std::uint64_t end);

/// "0x1f0000": how offsets are written in evidence.
KILN_API std::string hex(std::uint64_t);
/// A stranger's text within evidence: quoted, printable(), at most 200 characters.
KILN_API std::string in_quotes(std::string_view);

}  // namespace kiln

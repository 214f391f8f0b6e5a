#include "cli/meanings.h"

#include <algorithm>
#include <array>
#include <utility>

#include <kiln/finding.h>

namespace kiln::cli {
namespace {

using Meaning = std::pair<std::string_view, std::string_view>;

constexpr std::array<Meaning, 36> meanings{{
    {code::ambiguous_format, "programs that read the file would see different disks"},
    {code::backing_file, "part of the disk is in another file, which could be any file of the host"},
    {code::checksum, "a structure of the file was changed or damaged after it was written"},
    {code::damaged, "the file contradicts its specification or itself"},
    {code::data_file, "the disk's content is in another file, which could be any file of the host"},
    {code::disk_too_large, "the service that the image is for refuses a disk of this size"},
    {code::encrypted, "without the key nothing can be said of the content"},
    {code::external_extent, "part of the disk is where kiln does not look for it, which could be any file of the host"},
    {code::format_mismatch, "the file is not what it is said to be"},
    {code::hash_mismatch, "this is not the file that was expected"},
    {code::invalid_size, "the service that the image is for, or the format, does not allow such a file"},
    {code::log_replayed, "the machine was not shut down, and its last writes were in the container's log"},
    {code::nested_format, "a program that guesses formats would open what the guest wrote as a container"},
    {code::overlap, "two parts of the disk share bytes, so that one changes the other"},
    {code::parent_needed, "the file holds only what differs from another one"},
    {code::truncated, "the end of the file is missing, and with it a part of the disk"},
    {code::unknown_format, "kiln cannot tell what the file is"},
    {code::unsupported, "kiln, or the service that the image is for, cannot do what this needs"},
    {code::bad_signature, "nobody vouches for the list of checksums"},
    {code::archive, "the archive would be read in different ways, or reach out of its folder"},
    {code::bomb, "it unpacks to more than anybody sends for a good reason"},
    {code::invalid_url, "nothing can be fetched from this address"},
    {code::manifest, "a file of the package was changed after the package was made"},
    {code::not_a_file, "what is there is no regular file, and reading it may have effects"},
    {code::private_address, "the address leads into a network that strangers must not reach through kiln"},
    {code::no_boot_loader, "no machine can start from the disk"},
    {code::no_cloud_init, "a new machine gets neither its name nor its keys nor a password"},
    {code::no_partition, "there is nothing on the disk to start or to read"},
    {code::no_root, "there is no system on the disk that kiln could look into"},
    {code::no_virtio, "the system does not find its disk or its network on KVM, and does not start"},
    {code::fstab_foreign, "the system waits at its start for something that is not there, and may not go on"},
    {code::fstab_unstable, "the system may not find its file systems when the disk is attached differently"},
    {code::no_uefi_fallback,
     "a machine that starts the image for the first time knows no boot entry, and finds nothing"},
    {code::secrets, "whoever gets the image can read them"},
    {code::static_network, "a new machine has an address of the old one's network, or no network at all"},
    {code::vendor_tools, "programs for another hypervisor run in vain, or hinder the system"},
}};

}  // namespace

std::string_view meaning_of(std::string_view code) {
  const auto it = std::ranges::find(meanings, code, &Meaning::first);
  return it == meanings.end() ? std::string_view{} : it->second;
}

}  // namespace kiln::cli

#pragma once
// A NoCloud seed: the small ISO image from which cloud-init learns who it is (cloud-init's documentation, "NoCloud":
// volume id CIDATA, files meta-data and user-data).

#include <filesystem>
#include <string>
#include <vector>

namespace kiln {

struct Seed {
  std::string instance_id = {};            ///< a new one makes cloud-init run its once-per-instance part
  std::string hostname = {};               ///< empty: the disk's own stays
  std::vector<std::string> ssh_keys = {};  ///< public key lines, for the image's default user (never root)
  std::string user_data = {};              ///< replaces what is made of ssh_keys, byte for byte
  std::string uuid = {};                   ///< the machine's, which its machine-id becomes; empty: the disk's own stays
  std::string random = {};                 ///< text that the guest's random numbers begin with
};

/// meta-data and user-data as they are written. JSON, which is YAML: no text of the user's can break out of its quotes.
/// There is no network-config: without it cloud-init asks DHCP on the first network card, whatever its name is.
std::string meta_data(const Seed&);
std::string user_data(const Seed&);
/// What a machine needs to be no twin of another one of its image, whatever the user's data says: cloud-init merges the
/// user's data into it ("Vendor-data" in its documentation). Needed where the image was not generalised.
std::string vendor_data(const Seed&);

/// Throws invalid() for a key that is no public key line.
void check_ssh_key(const std::string& line);

/// Writes the image; `file` must not exist.
void write_seed(const std::filesystem::path& file, const Seed&);

}  // namespace kiln

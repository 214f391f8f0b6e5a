#pragma once
// The files of an OVF package: members of a tar, or what lies beside an .ovf.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "package/ovf.h"
#include "package/tar.h"
#include "steady.h"

namespace kiln::import {

class Package {
 public:
  Package() = default;
  Package(const Package&) = delete;
  Package& operator=(const Package&) = delete;
  virtual ~Package();

  /// What the OVF may name, in the order of the package.
  virtual std::vector<std::string> names() const = 0;
  /// Throws Error with code::archive when there is none of that name, or it is a link or no file.
  virtual Input open(const std::string& name) const = 0;
  /// The one OVF.
  virtual std::string descriptor() const = 0;
  /// Empty when there is none.
  virtual std::string manifest() const = 0;
};

/// The one disk of an archive that is no OVA: as Google's cloud ("disk.raw") and Oracle's export it, and Vagrant
/// keeps it for libvirt. Nothing: there is an OVF, or not one such file, or the archive is called an OVA.
std::optional<Member> lone_disk(const std::filesystem::path& archive, const std::vector<Member>&);

/// Throws Error as members_of_tar() does, and with code::archive unless there is one OVF and at most one manifest.
std::unique_ptr<Package> open_ova(Input);
/// Files beside the OVF are opened by their plain names, and links are not followed.
std::unique_ptr<Package> open_ovf_folder(Input);

/// Bytes hashed, and in all; may throw.
using Hashed = std::function<void(std::uint64_t, std::uint64_t)>;

/// Every file that the OVF names is there, and has the size that it says; and when there is a manifest, it lists the
/// OVF and its disks, and every digest in it is right. Returns what is to be told of that.
/// Throws Error with code::archive, code::invalid_size, code::manifest.
std::vector<Finding> verify_package(const Package&, const Ovf&, const Hashed&);

}  // namespace kiln::import

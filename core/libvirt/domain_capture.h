#pragma once
// A domain of libvirt's as an image: all its disks at one moment, while it goes on, or of one that is shut off.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "libvirt/connection.h"
#include "machine/capture.h"

namespace kiln {

struct DomainTarget {
  std::string connect;  ///< its host's URI
  std::string domain;   ///< its name there, or its UUID
  std::string name;     ///< for messages and facts; empty: the domain's own
  /// Of kiln's own, for this user only, and of no other machine: for what a host that is not this one sends.
  std::filesystem::path folder;
  const Formats& formats;
  std::vector<KnownBase> bases;  ///< files on the host that some disk may lie on
  /// As CaptureTarget::since, of a checkpoint.
  std::function<std::optional<Manifest>(const std::string& checkpoint, const std::string& drive)> since;
};

/// As capture_running(), or as capture_stopped() when it is shut off. Only a machine that is shut off is read from
/// another host. Throws invalid() when there is no such domain.
Capture capture_domain(std::shared_ptr<Connection>, const DomainTarget&, const CaptureSpec&, const std::stop_token&);

/// Of one that is shut off.
Capture capture_domain_stopped(const Connection&, virDomainPtr, const DomainTarget&, const CaptureSpec&,
                               const std::stop_token&);

/// Whether the paths of that libvirt are this host's.
bool is_this_host(const std::string& connect);
std::string xml_of(virDomainPtr, unsigned flags);
int state_of(virDomainPtr);  ///< virDomainState

}  // namespace kiln

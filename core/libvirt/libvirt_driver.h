#pragma once
// Instances as libvirt's domains: on this host, or on any that a libvirt URI reaches.
//
// Of an instance the host has the domain kiln-<name> and, in the storage pool "kiln", three volumes that its UUID
// names: the overlay, the seed, and the log of its serial console. What the record says of it is not asked of the host
// again.

#include <memory>
#include <string>

#include "libvirt/base_copy.h"
#include "libvirt/domain_capture.h"
#include "machine/driver.h"
#include "machine/instances.h"

namespace kiln {

class LibvirtDriver final : public Driver {
 public:
  /// `home` says who launches, for the administrators of the hosts. Nothing is connected before it is needed.
  explicit LibvirtDriver(std::function<std::string()> home);
  ~LibvirtDriver();

  /// The URI to record: what was given, or what libvirt takes when that is empty or one of its aliases. Throws Error
  /// when the host cannot be reached, or does not run QEMU.
  std::string resolve(const std::string& connect, const std::stop_token&);
  /// Nothing: the URI is one of this host, whose accelerator is known. Else what that host's libvirt says of itself:
  /// "kvm" or "tcg".
  std::optional<std::string> accelerator(const std::string& connect);
  /// Refuses what a domain of kiln cannot have.
  static void require_possible(const LaunchSpec&);
  BaseOnHost prepare(const std::string& connect, const BaseImage&);
  /// See domain_capture.h.
  Capture capture(const DomainTarget&, const CaptureSpec&, const std::stop_token&);

  void look(const std::vector<Instance*>&, Duration limit) override;
  void launch(const Instance&, const Seed&, bool start, const std::stop_token&) override;
  void start(const Instance&, const std::stop_token&) override;
  Stopped stop(const Instance&, Duration limit, const std::stop_token&) override;
  void remove(const Instance&) override;
  std::string serial_text(const Instance&, std::uint64_t last_bytes) override;
  std::unique_ptr<Console> open_console(const Instance&) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln

#pragma once
// Which accelerator QEMU gets: what a probe found, never what /dev/kvm promises.

#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

#include <kiln/value.h>

namespace kiln {

/// The choice, and why.
struct Accelerator {
  std::string name;    ///< "kvm" or "tcg": always given to QEMU as the only one
  std::string reason;  ///< why it is not kvm, or that the user chose; empty: kvm passed its test
  bool operator==(const Accelerator&) const = default;
};

/// What one run of the probe's payload (machine/probe_payload.h) showed.
struct ProbeResult {
  bool works = false;
  std::string reason;   ///< for people, when it does not: "a guest did not reach long mode in 3 s"
  std::string reached;  ///< the letters that the payload wrote: "RPLW" when it works
};

/// Boots the payload under one accelerator, "kvm" or "tcg". Takes at most `limit`, and a moment to end QEMU.
ProbeResult run_probe(std::string_view accelerator, Duration limit = std::chrono::seconds(3),
                      std::stop_token stop = {});

/// Probes kvm and remembers the answer for this boot of the host in `home`/host/accel.json (a home that cannot be
/// written is no failure, it only costs the next run the probe). `again`: ignore what is remembered.
Accelerator probe_accelerator(const std::filesystem::path& home, bool again = false, std::stop_token stop = {});

/// `wanted` is what the user said: "kvm" or "tcg" is taken as it is, "" and "auto" mean the probe. invalid() otherwise.
Accelerator choose_accelerator(std::string_view wanted, const std::filesystem::path& home, std::stop_token stop = {});

}  // namespace kiln

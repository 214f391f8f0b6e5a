#pragma once
// Processors for a guest that needs them while its machine is captured. A lower priority would not do: the kernel
// shares them out among sessions first (sched(7), "The autogroup feature").

#include <sched.h>

#include "qmp/qmp.h"

namespace kiln {

/// Whether the guest has been computing during the last moments; takes 50 ms. False of a QEMU that runs elsewhere.
bool is_busy(Qmp&);

/// While this lives, what the calling thread does or starts keeps to half of the host's processors, if there are
/// several. Made and destroyed by the same thread.
class GuestFirst {
 public:
  explicit GuestFirst(bool needed);
  GuestFirst(const GuestFirst&) = delete;
  GuestFirst& operator=(const GuestFirst&) = delete;
  ~GuestFirst();

 private:
  cpu_set_t before_;
  bool changed_ = false;
};

}  // namespace kiln

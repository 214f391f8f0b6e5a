#pragma once
// A domain's serial console as a socket of this process.

#include <memory>

#include "libvirt/connection.h"
#include "machine/driver.h"

namespace kiln {

/// Throws Error when the domain does not run, or somebody else has its console.
std::unique_ptr<Driver::Console> open_domain_console(std::shared_ptr<Connection>, DomainHandle);

}  // namespace kiln

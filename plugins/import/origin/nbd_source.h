#pragma once
// A disk that an NBD server shows, by libnbd: read where it is, nothing is copied.

#include <memory>
#include <stop_token>
#include <string>

#include <kiln/block.h>
#include <kiln/value.h>

#include "origin/address.h"

namespace kiln::import {

/// Connects to "nbd://host[:port]/export" or "nbd+unix:///export?socket=PATH" (the URIs of NetworkBlockDevice's
/// doc/uri.md). The address is checked, and then connected to. What the server says of lengths is not believed
/// unchecked; when it is silent for `patience` that is an Error.
std::shared_ptr<const BlockReader> open_nbd(const std::string& url, const AddressRule&, Duration patience,
                                            std::stop_token);

}  // namespace kiln::import

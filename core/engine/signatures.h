#pragma once
// What a file is when no format knows it. A disk without a container (raw) has no mark of its own, so without this list
// any stranger's container would be taken for one, and its own bytes be published as a disk.

#include <string_view>

#include <kiln/format.h>

namespace kiln::engine {

/// "a VMDK disk", "a gzip archive"; empty when the bytes carry no well-known mark. Sources: the containers'
/// specifications, and RFC 1952, RFC 8878, .ZIP File Format Specification 4.3.7, POSIX.1-2017 pax (ustar).
std::string_view known_container(const Glimpse&);

}  // namespace kiln::engine

#pragma once
// What an initramfs holds (Linux, Documentation/driver-api/early-userspace/buffer-format.rst): cpio archives one after
// the other, the last of them usually compressed.

#include <functional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

namespace kiln::preflight {

/// "virtio_blk" for "kernel/drivers/block/virtio-blk.ko.xz". Empty: the file is no module.
std::string module_name(std::string_view path);

using Names = std::set<std::string, std::less<>>;

/// Those of the modules `among` that are in it. The bytes are a stranger's: what is damaged, or packed in a way that
/// kiln does not know, throws Error, and so does what unpacks to more than 1 GiB, once that much was unpacked. Nothing
/// that was unpacked is kept. Throws cancelled().
Names modules_in(std::string_view initramfs, const Names& among, const std::stop_token&);

}  // namespace kiln::preflight

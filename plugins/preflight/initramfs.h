#pragma once
// What an initramfs holds (Linux, Documentation/driver-api/early-userspace/buffer-format.rst): cpio archives one after
// the other, the last of them usually compressed.

#include <set>
#include <string>
#include <string_view>

namespace kiln::preflight {

/// "virtio_blk" for "kernel/drivers/block/virtio-blk.ko.xz". Empty: the file is no module.
std::string module_name(std::string_view path);

/// The modules in it, by name. The bytes are a stranger's: what is damaged, or packed in a way that kiln does not know,
/// throws Error, and so does what unpacks to more than 2 GiB.
std::set<std::string> modules_in(std::string_view initramfs);

}  // namespace kiln::preflight

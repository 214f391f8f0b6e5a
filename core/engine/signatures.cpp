#include "engine/signatures.h"

#include <cstring>

namespace kiln::engine {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::size_t offset;
  std::string_view mark;
  std::string_view name;
};

constexpr Signature signatures[] = {
    {0, "KDMV"sv, "a VMDK disk"},
    {0, "COWD"sv, "a VMDK disk (ESX 3)"},
    {0, "# Disk DescriptorFile"sv, "the descriptor of a VMDK disk"},
    {0, "vhdxfile"sv, "a VHDX disk"},
    {64, "\x7f\x10\xda\xbe"sv, "a VDI disk"},
    {0, "QED\0"sv, "a QED disk"},
    {0, "QFI\xfb"sv, "a QCOW disk (version 1) or a damaged qcow2 one"},
    {0, "WithoutFreeSpace"sv, "a Parallels disk"},
    {0, "WithouFreSpacExt"sv, "a Parallels disk"},
    {0, "LUKS\xba\xbe"sv, "a disk encrypted with LUKS"},
    {0, "conectix"sv, "a VHD disk"},
    {0, "\x1f\x8b\x08"sv, "a gzip archive"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz archive"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd archive"},
    {0, "BZh"sv, "a bzip2 archive"},
    {0, "\x5d\0\0\x80\0"sv, "an lzma archive"},
    {0, "\x04\x22\x4d\x18"sv, "an lz4 archive"},
    {0, "PK\x03\x04"sv, "a zip archive"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    {257, "ustar"sv, "a tar archive (an OVA is one)"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program"},
};

}  // namespace

std::string_view known_container(const Glimpse& glimpse) {
  for (const Signature& s : signatures) {
    if (glimpse.head.size() < s.offset + s.mark.size()) continue;
    if (std::memcmp(glimpse.head.data() + s.offset, s.mark.data(), s.mark.size()) == 0) return s.name;
  }
  return {};
}

}  // namespace kiln::engine

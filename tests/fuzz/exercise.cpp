#include "exercise.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

#include <kiln/file.h>
#include <kiln/plugin.h>

namespace kiln::fuzz {
namespace {

constexpr int max_extents = 1024;
constexpr std::uint64_t max_bytes = 1u << 20, max_head = 64 * 1024;

/// What lies below a layer: every byte is 0x5a.
class Below final : public BlockReader {
 public:
  std::uint64_t size() const override { return 700'000; }
  Extent extent_at(std::uint64_t offset) const override { return {offset, size() - offset, true, false}; }
  void read(std::uint64_t, std::span<std::byte> into) const override { std::memset(into.data(), 0x5a, into.size()); }
};

std::string check_extent(const BlockReader& disk, const Extent& extent, std::vector<std::byte>& buffer) {
  const auto name = [&] { return "extent " + std::to_string(extent.offset) + "+" + std::to_string(extent.length); };
  const std::uint64_t length = std::min<std::uint64_t>(extent.length, buffer.size() / 2);
  const auto first = std::span(buffer).first(length), second = std::span(buffer).subspan(buffer.size() / 2, length);
  disk.read(extent.offset, first);
  if (!extent.data && length != 0 &&
      (first[0] != std::byte{0} || std::memcmp(first.data(), first.data() + 1, length - 1) != 0))
    return name() + " is called a hole and holds data";
  // Again in two uneven steps, as a cache might see it.
  const std::uint64_t cut = length / 3;
  disk.read(extent.offset, second.first(cut));
  disk.read(extent.offset + cut, second.subspan(cut));
  return std::memcmp(first.data(), second.data(), length) == 0 ? "" : name() + " reads differently in two steps";
}

std::string walk(const BlockReader& disk) {
  std::vector<std::byte> buffer(128 * 1024);
  std::uint64_t read = 0, at = 0;
  for (int i = 0; i < max_extents && at < disk.size() && read < max_bytes; ++i) {
    const Extent extent = disk.extent_at(at);
    if (extent.offset != at || extent.length == 0 || extent.length > disk.size() - at)
      return "a bad extent at " + std::to_string(at) + ": " + std::to_string(extent.offset) + "+" +
             std::to_string(extent.length);
    if (std::string wrong = check_extent(disk, extent, buffer); !wrong.empty()) return wrong;
    read += std::min<std::uint64_t>(extent.length, buffer.size() / 2);
    at += extent.length;
  }
  if (disk.size() != 0) {  // the last byte
    const auto last = std::span(buffer).first(1);
    disk.read(disk.size() - 1, last);
  }
  return {};
}

/// Runs `act`, for which a good Error is a right answer.
std::string guarded(const std::function<std::string()>& act) {
  try {
    return act();
  } catch (const Error& e) {
    if (e.hint().empty() && std::string(e.what()).find("cannot ") != 0)
      return "an Error without a hint: " + std::string(e.what());
    return {};
  } catch (const std::exception& e) {
    return std::string("an exception that is no Error: ") + e.what();
  }
}

}  // namespace

const Format& load(const std::string& plugin) {
  void* const library = ::dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const symbol = library == nullptr ? nullptr : ::dlsym(library, "kiln_plugin");
  if (symbol == nullptr) throw std::runtime_error(::dlerror());
  const Entry* const entry = reinterpret_cast<const Entry* (*)()>(symbol)();
  if (entry->format == nullptr) throw std::runtime_error(plugin + " is no format");
  return *entry->format;
}

MemoryFile::MemoryFile()
    : fd_(::memfd_create("kiln-fuzz", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {
  if (fd_ < 0) throw std::runtime_error("memfd_create failed");
}

MemoryFile::~MemoryFile() {
  ::close(fd_);
}

// Holes stay holes: for a file that is mostly holes this is most of the time.
void MemoryFile::hold(std::span<const std::byte> bytes) {
  constexpr std::size_t page = 4096;
  static constexpr std::array<std::byte, page> zeros{};
  bool good = ::ftruncate(fd_, 0) == 0 && ::ftruncate(fd_, static_cast<off_t>(bytes.size())) == 0;
  for (std::size_t at = 0, end = 0; good && at < bytes.size(); at = end) {
    end = at + std::min(page, bytes.size() - at);
    if (std::memcmp(bytes.data() + at, zeros.data(), end - at) == 0) continue;
    while (end < bytes.size() && std::memcmp(bytes.data() + end, zeros.data(), std::min(page, bytes.size() - end)) != 0)
      end += std::min(page, bytes.size() - end);
    good = ::pwrite(fd_, bytes.data() + at, end - at, static_cast<off_t>(at)) == static_cast<ssize_t>(end - at);
  }
  if (!good) throw std::runtime_error("writing the input failed");
}

std::string exercise(const Format& format, const std::filesystem::path& path) {
  const File file = File::open_read(path);
  const std::uint64_t size = file.size(), edge = std::min(size, max_head);
  std::vector<std::byte> head(edge), tail(edge);
  file.read_at(0, head);
  file.read_at(size - edge, tail);
  format.probe({head, tail, size});
  std::uint64_t inspected = UINT64_MAX, opened = UINT64_MAX;
  std::string wrong = guarded([&] {
    inspected = format.inspect(path).virtual_size;
    return std::string();
  });
  if (!wrong.empty() || !format.qemu_driver().empty()) return wrong;  // QEMU's driver is not ours to fuzz
  wrong = guarded([&] {
    const auto disk = format.open(path);
    opened = disk->size();
    return walk(*disk);
  });
  if (!wrong.empty()) return wrong;
  if (inspected != opened)
    return "inspect() says " + std::to_string(inspected) + " bytes, open() " + std::to_string(opened);
  return guarded([&] { return walk(*format.open(path, std::make_shared<Below>())); });
}

}  // namespace kiln::fuzz

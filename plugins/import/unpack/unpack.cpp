#include "unpack/unpack.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <kiln/text.h>

namespace kiln::import {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t piece = 1 << 20, page = 4096;
constexpr std::uint64_t least_room = 64u << 20;

bool is_zero(std::span<const std::byte> bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

/// A file that nobody else can open, and which is gone with its last descriptor.
File nameless(const fs::path& path) {
  File file = File::create(path);
  if (::unlink(path.c_str()) != 0) throw system_error("cannot remove " + path.string(), errno);
  return file;
}

/// "disk.qcow2.gz" → "disk.qcow2"
std::string name_within(const fs::path& packed, const std::string& member) {
  const std::string name = member.empty() ? packed.stem().string() : fs::path(member).filename().string();
  return name.empty() || name == "." || name == ".." ? "unpacked" : name;
}

/// Writes what is not zero, in runs of whole pages.
class HolePuncher {
 public:
  explicit HolePuncher(File& file) : file_(file) {}

  void add(std::span<const std::byte> bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const bool zero = is_zero(page_at(bytes, at));
      std::size_t end = at;
      while (end < bytes.size() && is_zero(page_at(bytes, end)) == zero) end += page_at(bytes, end).size();
      if (!zero) {
        file_.write_at(size_ + at, bytes.subspan(at, end - at));
        written_ += end - at;
      }
      at = end;
    }
    size_ += bytes.size();
  }
  std::uint64_t size() const { return size_; }
  std::uint64_t written() const { return written_; }

 private:
  static std::span<const std::byte> page_at(std::span<const std::byte> bytes, std::size_t at) {
    return bytes.subspan(at, std::min(page, bytes.size() - at));
  }

  File& file_;
  std::uint64_t size_ = 0, written_ = 0;
};

std::uint64_t allowance(std::uint64_t base, std::uint64_t ratio, std::uint64_t read) {
  return read > (UINT64_MAX - base) / ratio ? UINT64_MAX : base + ratio * read;
}

void check_limits(const File& packed, const HolePuncher& out, std::uint64_t read, const UnpackLimits& limits) {
  if (out.size() > limits.size)
    throw refused(packed.path().string() + " unpacks to more than " + format_bytes(limits.size),
                  "raise unpack_limit when it really is that large",
                  {"after " + std::to_string(read) + " of its bytes there are " + std::to_string(out.size())})
        .as(code::disk_too_large);
  const std::uint64_t data = allowance(limits.data, limits.data_ratio, read);
  const std::uint64_t all = allowance(limits.zeros, limits.zeros_ratio, read);
  if (out.written() <= data && out.size() <= all) return;
  const bool full = out.written() > data;
  throw refused(packed.path().string() + " unpacks to more than is plausible",
                "unpack it yourself when you know who made it",
                {std::to_string(read) + " bytes became " + std::to_string(full ? out.written() : out.size()) +
                 (full ? " that are not zero" : "") + ", at most " + std::to_string(full ? data : all) + " may be"})
      .as(code::bomb);
}

/// A file system that is full to the last byte hurts everybody on it.
void check_room(const fs::path& folder) {
  struct statvfs st {};
  if (::statvfs(folder.c_str(), &st) != 0) return;
  if (const std::uint64_t room = std::uint64_t{st.f_bavail} * st.f_frsize; room < least_room)
    throw Error("there is no room to unpack in " + folder.string(), "free some space, or unpack the file elsewhere",
                {format_bytes(room) + " are left, " + format_bytes(least_room) + " are kept free"});
}

}  // namespace

File unpack(Context& ctx, const File& packed, Packing packing, const UnpackLimits& limits) {
  const auto decoder = decoder_for(packed, packing);
  const fs::path folder = ctx.scratch();
  File spool = nameless(folder / packed.path().filename());
  HolePuncher out(spool);
  std::vector<std::byte> buffer(piece);
  const auto total = static_cast<double>(packed.size());
  const std::string what = "unpacking " + printable(packed.path().filename().string(), 80);
  for (std::uint64_t checked = 0;;) {
    const std::size_t got = decoder->read(buffer);
    out.add(std::span<const std::byte>(buffer).first(got));
    check_limits(packed, out, decoder->consumed(), limits);
    if (got < buffer.size()) break;
    if (out.written() - checked >= least_room / 2) {
      checked = out.written();
      check_room(folder);
    }
    ctx.progress({Progress::Unit::bytes, static_cast<double>(decoder->consumed()), total, what});
  }
  if (out.size() == 0)
    throw Error(packed.path().string() + " holds nothing", "get the file again").as(code::invalid_size);
  spool.truncate(out.size());
  File inside = spool.called(packed.path() / name_within(packed.path(), decoder->name()));
  if (const Packing again = packing_of(inside); again != Packing::none)
    throw refused(packed.path().string() + " is compressed twice", "unpack it once yourself",
                  {"what is in it begins as " + std::string(name_of(again))})
        .as(code::nested_format);
  return inside;
}

}  // namespace kiln::import

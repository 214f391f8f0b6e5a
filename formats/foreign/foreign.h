#pragma once
// What the containers that kiln leaves to QEMU have in common: kiln checks the headers and tables, and QEMU's driver
// reads the disk in the sandbox.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <kiln/endian.h>
#include <kiln/plugin.h>

namespace kiln::foreign {

/// More than any of these programs made; bounds what a header can ask for.
inline constexpr std::uint64_t largest_disk = 64ull << 40;

struct Options {};

/// `Container` has the static members name, summary, extensions, probe(const Glimpse&) and inspect(const File&), which
/// checks everything that QEMU is to rely on.
template <class Container>
class Foreign final : public FormatOf<Options> {
 public:
  Foreign()
      : FormatOf({.name = Container::name,
                  .summary = Container::summary,
                  .needs = {"bwrap", "qemu-storage-daemon"},
                  .extensions = Container::extensions()},
                 {}) {}

  std::string_view qemu_driver() const override { return Container::name; }
  Match probe(const Glimpse& glimpse) const override { return Container::probe(glimpse) ? Match::yes : Match::no; }
  Inspection inspect(const File& file) const override { return Container::inspect(file); }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    throw Error(file.path().string() + " is read by QEMU, which this program does not start", "use kiln to read it");
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path&, std::uint64_t, const Options&) const override {
    throw invalid("kiln reads " + about().name + " disks, and does not write them",
                  "write another format, such as qcow2 or vhd");
  }
};

/// Calls back with the number and the value of each entry of a little-endian table that is not zero. Read in pieces,
/// and what is a hole of the file not at all: a small file may claim a large table.
template <class T, class F>
void each_entry(const File& file, std::uint64_t at, std::uint64_t count, F&& told) {
  constexpr std::uint64_t step = 1u << 16;
  std::vector<std::byte> piece;
  for (std::uint64_t first = 0; first < count; first += step) {
    const std::uint64_t data = file.seek(at + first * sizeof(T), true);
    if (data == file.size() && at + count * sizeof(T) <= data) return;
    if (data < file.size()) first = std::max(first, (data - at) / sizeof(T) / step * step);
    if (first >= count) return;
    piece.resize(std::min(step, count - first) * sizeof(T));
    file.read_at(at + first * sizeof(T), piece);
    for (std::size_t i = 0; i < piece.size() / sizeof(T); ++i)
      if (const T value = get_le<T>(piece, i * sizeof(T)); value != 0) told(first + i, value);
  }
}

/// Which units of a file hold something already.
class Places {
 public:
  /// `unit`: bytes; what claim() takes are whole ones from `begin` on.
  Places(const File& file, std::uint64_t begin, std::uint64_t unit)
      : file_(file), size_(file.size()), begin_(begin), unit_(unit) {
    if (size_ / unit_ > most_units)
      throw refused(file.path().string() + " is larger than kiln can check", "convert it where it was made",
                    {"a file of " + std::to_string(size_) + " bytes in units of " + std::to_string(unit_)})
          .as(code::unsupported);
  }

  /// Throws unless `count` units from byte `at` on are within the file and were free. `used`: bytes of the last one
  /// that must be there. `what` is for the evidence.
  void claim(std::uint64_t at, std::uint64_t count, std::uint64_t used, const std::string& what) {
    if (at < begin_ || (at - begin_) % unit_ != 0)
      throw damaged(file_, what + " is said to be at byte " + std::to_string(at) + ", where none can be");
    if (at >= size_ || used > unit_ || (count - 1) > (size_ - at) / unit_ || (count - 1) * unit_ + used > size_ - at)
      throw truncated(file_, what, at > largest_disk ? at : at + (count - 1) * unit_ + used);
    const std::uint64_t first = (at - begin_) / unit_;
    if (taken_.size() < first + count) taken_.resize(first + count);
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (taken_[i])
        throw damaged(file_, what + " at byte " + std::to_string(at) + " lies on something else", code::overlap);
      taken_[i] = true;
    }
  }

 private:
  static constexpr std::uint64_t most_units = 1u << 30;  // 128 MiB of memory

  const File& file_;
  std::uint64_t size_, begin_, unit_;
  std::vector<bool> taken_;  // no longer than the file has units
};

/// Evidence: "QED header, bytes 4..7: cluster size 3".
inline std::string field(const std::string& where, std::size_t first, std::size_t last, const std::string& says) {
  return where + ", bytes " + std::to_string(first) + ".." + std::to_string(last) + ": " + says;
}

/// Whether the glimpse has `mark` at its start.
inline bool begins_with(const Glimpse& glimpse, std::string_view mark) {
  if (glimpse.head.size() < mark.size()) return false;
  return std::string_view(reinterpret_cast<const char*>(glimpse.head.data()), mark.size()) == mark;
}

/// Throws unless it is a size that a disk can have.
inline void check_size(const File& file, std::uint64_t size, const std::string& evidence) {
  if (size == 0 || size > largest_disk) throw damaged(file, evidence, code::invalid_size);
}

}  // namespace kiln::foreign

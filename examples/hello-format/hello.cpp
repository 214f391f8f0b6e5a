// A container of one page of header, then the disk's bytes: "HELLODSK", and the size as 64 bits, little-endian.
#include <algorithm>
#include <array>
#include <cstring>

#include <kiln/endian.h>
#include <kiln/file.h>
#include <kiln/plugin.h>

namespace {
using namespace kiln;

constexpr std::uint64_t header_size = 4096;
constexpr std::string_view magic = "HELLODSK";

bool has_magic(std::span<const std::byte> head) {
  return head.size() >= header_size && std::memcmp(head.data(), magic.data(), magic.size()) == 0;
}

class Reader final : public BlockReader {
 public:
  explicit Reader(File file) : file_(std::move(file)) {
    std::array<std::byte, header_size> header{};
    file_.read_at(0, header);
    if (!has_magic(header)) throw Error(file_.path().string() + " is not a hello disk");
    size_ = get_le<std::uint64_t>(header, magic.size());
    // The file comes from a stranger: believe its header only as far as the file reaches.
    if (size_ == 0 || size_ > file_.size() - header_size) throw truncated(file_, "the disk", header_size + size_);
  }

  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override { return {offset, size_ - offset, true}; }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    file_.read_at(header_size + offset, into);
  }

 private:
  File file_;
  std::uint64_t size_ = 0;
};

class Sink final : public BlockSink {
 public:
  Sink(const std::filesystem::path& path, std::uint64_t size) : made_(path), size_(size) {
    made_.file().truncate(header_size + size);
  }
  void append(Encoded&) override {}  // every byte has its place already
  void store(Encoded& encoded) override {
    const Batch& batch = *encoded.batch;
    for (std::size_t c = 0; c < batch.digests.size(); ++c) {
      if (batch.digests[c].is_zero_chunk()) continue;  // a hole reads as zeros
      const std::uint64_t at = c * chunk_size;
      made_.file().write_at(header_size + batch.offset + at,
                            batch.bytes.subspan(at, std::min(chunk_size, batch.length - at)));
    }
  }
  void finish() override {  // the header last: without it the file is nobody's disk
    std::array<std::byte, header_size> header{};
    std::memcpy(header.data(), magic.data(), magic.size());
    put_le(std::span(header), magic.size(), size_);
    made_.file().write_at(0, header);
    made_.keep();
  }

 private:
  NewFile made_;
  std::uint64_t size_;
};

struct Options {};

class Hello final : public FormatOf<Options> {
 public:
  Hello() : FormatOf({.name = "hello", .summary = "A page of header, then the disk.", .extensions = {"hello"}}, {}) {}

  Match probe(const Glimpse& glimpse) const override { return has_magic(glimpse.head) ? Match::yes : Match::no; }
  Inspection inspect(const File& file) const override {
    return {.format = "hello",
            .variant = {},
            .virtual_size = Reader(file.again()).size(),
            .file_size = file.size(),
            .details = {}};
  }
  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    return std::make_shared<Reader>(std::move(file));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& path, std::uint64_t size,
                                    const Options&) const override {
    return std::make_unique<Sink>(path, size);
  }
};
}  // namespace

KILN_FORMAT(Hello)

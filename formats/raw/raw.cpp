// The disk's bytes and nothing else.

#include <algorithm>

#include <kiln/file.h>
#include <kiln/plugin.h>

namespace kiln {
namespace {

class RawReader final : public BlockReader {
 public:
  explicit RawReader(File file) : file_(std::move(file)), size_(file_.size()) {
    if (size_ == 0)
      throw Error(file_.path().string() + " is empty", "get a complete copy of the file").as(code::invalid_size);
  }

  std::uint64_t size() const override { return size_; }

  Extent extent_at(std::uint64_t offset) const override {
    const std::uint64_t data = std::min(file_.seek(offset, true), size_);
    if (data > offset) return {offset, data - offset, false};
    // At least one byte: the file may shrink while it is read, and then read() says so.
    const std::uint64_t hole = std::clamp(file_.seek(offset, false), offset + 1, size_);
    return {offset, hole - offset, true};
  }

  void read(std::uint64_t offset, std::span<std::byte> into) const override { file_.read_at(offset, into); }

 private:
  File file_;
  std::uint64_t size_;
};

class RawSink final : public BlockSink {
 public:
  RawSink(const std::filesystem::path& path, std::uint64_t size) : made_(path) { made_.file().truncate(size); }

  void append(Encoded&) override {}  // the place of every byte is decided already

  void store(Encoded& encoded) override {
    const Batch& batch = *encoded.batch;
    for (std::size_t c = 0; c < batch.digests.size();) {
      std::size_t end = c;
      while (end < batch.digests.size() && !batch.digests[end].is_zero_chunk()) ++end;
      if (end > c) {
        const std::uint64_t from = c * chunk_size, to = std::min(end * chunk_size, batch.length);
        made_.file().write_at(batch.offset + from, batch.bytes.subspan(from, to - from));
      }
      c = end + 1;
    }
  }

  void finish() override { made_.keep(); }

 private:
  NewFile made_;
};

struct Options {};

class Raw final : public FormatOf<Options> {
 public:
  Raw()
      : FormatOf(
            {.name = "raw", .summary = "The disk's bytes as they are, holes kept.", .extensions = {"raw", "img", "dd"}},
            {}) {}

  /// Any file can be one, so it is the last resort.
  Match probe(const Glimpse& glimpse) const override { return glimpse.file_size == 0 ? Match::no : Match::weak; }

  Inspection inspect(const File& file) const override {
    const RawReader reader(file.again());
    return {.format = "raw", .variant = {}, .virtual_size = reader.size(), .file_size = reader.size(), .details = {}};
  }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    return std::make_shared<RawReader>(std::move(file));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& path, std::uint64_t size,
                                    const Options&) const override {
    return std::make_unique<RawSink>(path, size);
  }
};

}  // namespace
}  // namespace kiln

KILN_FORMAT(kiln::Raw)

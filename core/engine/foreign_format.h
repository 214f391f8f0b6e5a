#pragma once
// A format whose container QEMU reads: in the sandbox, for no longer than somebody reads the disk.

#include <stop_token>
#include <utility>

#include <kiln/format.h>

namespace kiln::engine {

/// Stands in for a format that has a qemu_driver(). Everything but open() is the format's own.
class ForeignFormat final : public Format {
 public:
  /// The format must outlive this and what it opens. `sandboxed` false: --no-sandbox. `stop`: ends what waits for QEMU.
  ForeignFormat(const Format& format, bool sandboxed, std::stop_token stop)
      : format_(format), sandboxed_(sandboxed), stop_(std::move(stop)) {}

  const About& about() const override { return format_.about(); }
  Match probe(const Glimpse& glimpse) const override { return format_.probe(glimpse); }
  Inspection inspect(const File& file) const override { return format_.inspect(file); }
  /// inspect(), and only then qemu-storage-daemon with a block graph of kiln's. The reader keeps it running. Throws
  /// refused() where there is no sandbox; an Error of what QEMU cannot read has its last lines.
  std::shared_ptr<const BlockReader> open(File, std::shared_ptr<const BlockReader> below) const override;
  std::string_view qemu_driver() const override { return format_.qemu_driver(); }
  std::unique_ptr<BlockSink> create_with(const std::filesystem::path& file, std::uint64_t size,
                                         const Table& options) const override {
    return format_.create_with(file, size, options);
  }

 private:
  const Format& format_;
  bool sandboxed_;
  std::stop_token stop_;
};

}  // namespace kiln::engine

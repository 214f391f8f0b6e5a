#include "engine/foreign_format.h"

#include "engine/foreign_worker.h"
#include "nbd/nbd_reader.h"

namespace kiln::engine {
namespace {

/// Longer than any block takes to unpack.
constexpr Duration silence = std::chrono::seconds(10);

/// The disk as the worker shows it, with its words where something fails.
class ForeignReader final : public BlockReader {
 public:
  ForeignReader(const File& file, std::string_view driver, std::uint64_t size, bool sandboxed, std::stop_token stop)
      : name_(file.path().string()),
        driver_(driver),
        worker_(std::make_shared<ForeignWorker>(file, driver, size, sandboxed)) {
    disk_ = with_words([&] {
      return open_nbd({.socket = worker_->socket(),
                       .name = ForeignWorker::export_name,
                       .stop = std::move(stop),
                       .silence = silence});
    });
    if (disk_->size() != size)
      throw Error(name_ + " is damaged", "get a sound copy of the file",
                  {"the headers tell of " + std::to_string(size) + " bytes, QEMU of " + std::to_string(disk_->size())})
          .as(code::damaged);
  }

  std::uint64_t size() const override { return disk_->size(); }
  Extent extent_at(std::uint64_t offset) const override { return disk_->extent_at(offset); }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    with_words([&] { disk_->read(offset, into); });
  }

 private:
  template <class F>
  auto with_words(F&& doing) const -> decltype(doing()) {
    try {
      return doing();
    } catch (const Error& error) {
      if (is_cancelled(error)) throw;
      std::vector<std::string> evidence = worker_->last_words();
      const bool explained = !evidence.empty();  // else it was killed, or is too slow: that says nothing of the file
      evidence.insert(evidence.begin(), error.evidence().begin(), error.evidence().end());
      evidence.insert(evidence.begin(), error.what());
      const Error failed(name_ + " cannot be read by QEMU as " + driver_,
                         explained
                             ? "get a sound copy of the file, or convert it where it was made"
                             : "try it again where there is more time and memory, or convert it where it was made",
                         std::move(evidence));
      throw explained ? failed.as(code::damaged) : failed;
    }
  }

  std::string name_, driver_;
  std::shared_ptr<ForeignWorker> worker_;
  std::shared_ptr<const BlockReader> disk_;  // destroyed before the worker
};

}  // namespace

std::shared_ptr<const BlockReader> ForeignFormat::open(File file, std::shared_ptr<const BlockReader>) const {
  const Inspection found = format_.inspect(file);
  return std::make_shared<ForeignReader>(file, qemu_driver(), found.virtual_size, sandboxed_, stop_);
}

}  // namespace kiln::engine

#include <kiln/block.h>

namespace kiln {

BlockReader::~BlockReader() = default;
std::optional<Digest> BlockReader::known_digest(std::uint64_t) const {
  return std::nullopt;
}
Encoded::~Encoded() = default;
BlockSink::~BlockSink() = default;
void BlockSink::failed(const std::string&) noexcept {}

std::unique_ptr<Encoded> BlockSink::encode(std::shared_ptr<const Batch> batch) const {
  auto encoded = std::make_unique<Encoded>();
  encoded->batch = std::move(batch);
  return encoded;
}

}  // namespace kiln

#include "disk/manifest.h"

#include <kiln/endian.h>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "disk/content.h"

namespace kiln {
namespace {

constexpr std::string_view magic = "KILNMAN1";
constexpr std::size_t header_size = 64;

// The file is used in place.
static_assert(sizeof(Manifest::Entry) == 40 && std::endian::native == std::endian::little);

Error damaged(const std::filesystem::path& file, std::string evidence) {
  return Error(file.string() + " is a damaged manifest", "remove it; it is made again when it is needed",
               {std::move(evidence)});
}

}  // namespace

struct Manifest::Mapping {
  explicit Mapping(const File& file) : size(file.size()) {
    address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd(), 0);
    if (address == MAP_FAILED) throw system_error("cannot map " + file.path().string(), errno);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(address, size); }

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(address), size}; }

  std::size_t size;
  void* address;
};

Manifest Manifest::open(const std::filesystem::path& path) {
  const File file = File::open_read(path);
  if (file.size() < header_size) throw damaged(path, "the header is cut off");
  Manifest manifest;
  manifest.mapping_ = std::make_shared<const Mapping>(file);
  const std::span<const std::byte> bytes = manifest.mapping_->bytes();
  if (std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) throw damaged(path, "bytes 0..7: no manifest's mark");
  manifest.disk_size_ = get_le<std::uint64_t>(bytes, 8);
  const auto count = get_le<std::uint64_t>(bytes, 16);
  std::memcpy(manifest.content_.bytes.data(), bytes.data() + 32, 32);
  const std::span<const std::byte> table = bytes.subspan(header_size);
  if (table.size() % sizeof(Entry) != 0 || table.size() / sizeof(Entry) != count)
    throw damaged(path, "bytes 16..23: " + std::to_string(count) + " entries do not fill the file");
  manifest.entries_ = {reinterpret_cast<const Entry*>(table.data()), count};
  const auto not_ascending = [](const Entry& a, const Entry& b) { return a.index >= b.index; };
  if (std::ranges::adjacent_find(manifest.entries_, not_ascending) != manifest.entries_.end())
    throw damaged(path, "entries out of order");
  if (count != 0 &&
      (manifest.disk_size_ == 0 || manifest.entries_.back().index > (manifest.disk_size_ - 1) / chunk_size))
    throw damaged(path, "an entry past the disk's end");
  if (std::ranges::any_of(manifest.entries_, [](const Entry& e) { return e.digest.is_zero_chunk(); }))
    throw damaged(path, "an entry for a chunk of zeros");
  ContentHasher hasher(manifest.disk_size_);
  hasher.add_encoded(table);
  if (hasher.finish() != manifest.content_) throw damaged(path, "the content digest is not that of the entries");
  return manifest;
}

std::span<const std::byte> Manifest::bytes() const noexcept {
  return mapping_->bytes();
}

Digest Manifest::at(std::uint64_t index) const noexcept {
  const auto found = std::ranges::lower_bound(entries_, index, {}, &Entry::index);
  return found != entries_.end() && found->index == index ? found->digest : Digest{};
}

struct ManifestSink::State {
  State(const std::filesystem::path& path, std::uint64_t size)
      : pending(path), file(File::create(pending.path())), disk_size(size), hasher(size) {
    buffer.reserve(flush_at + 16 * sizeof(Manifest::Entry));
  }

  void flush() {
    file.write_at(header_size + written, buffer);
    hasher.add_encoded(buffer);
    written += buffer.size();
    buffer.clear();
  }

  static constexpr std::size_t flush_at = 64 * 1024;
  PendingFile pending;
  File file;
  std::uint64_t disk_size;
  ContentHasher hasher;
  std::vector<std::byte> buffer;
  std::uint64_t written = 0;
};

ManifestSink::ManifestSink(const std::filesystem::path& file, std::uint64_t disk_size)
    : state_(std::make_unique<State>(file, disk_size)) {}

ManifestSink::~ManifestSink() = default;

void ManifestSink::append(Encoded& encoded) {
  const Batch& batch = *encoded.batch;
  for (std::size_t c = 0; c < batch.digests.size(); ++c) {
    if (batch.digests[c].is_zero_chunk()) continue;
    const Manifest::Entry entry{batch.offset / chunk_size + c, batch.digests[c]};
    const auto bytes = std::as_bytes(std::span(&entry, 1));
    state_->buffer.insert(state_->buffer.end(), bytes.begin(), bytes.end());
  }
  if (state_->buffer.size() >= State::flush_at) state_->flush();
}

void ManifestSink::finish() {
  state_->flush();
  content_ = state_->hasher.finish();
  std::array<std::byte, header_size> header{};
  std::memcpy(header.data(), magic.data(), magic.size());
  put_le<std::uint64_t>(header, 8, state_->disk_size);
  put_le<std::uint64_t>(header, 16, state_->written / sizeof(Manifest::Entry));
  std::memcpy(header.data() + 32, content_.bytes.data(), 32);
  state_->file.write_at(0, header);
  state_->pending.commit(true);
}

}  // namespace kiln

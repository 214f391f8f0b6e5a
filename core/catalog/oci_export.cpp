#include "catalog/oci_export.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <unordered_map>
#include <vector>

#include <kiln/endian.h>
#include <kiln/hash.h>

#include "catalog/oci_layout.h"

namespace kiln {
namespace {

using nlohmann::json;

constexpr const char* image_type = "application/vnd.kiln.image.v1";
constexpr const char* config_type = "application/vnd.kiln.image.v1+json";
constexpr const char* index_type = "application/vnd.kiln.disk.index.v1";
constexpr const char* chunks_type = "application/vnd.kiln.disk.chunks.v1";
constexpr std::size_t oci_header_size = 64, oci_entry_size = 56;
// Programs read a manifest of at most 4 MiB; a layer takes about 300 bytes of it.
constexpr std::uint64_t usual_group = 16u << 20, most_groups = 4096;

/// Chunks that become one blob.
struct Group {
  std::uint64_t first = 0, end = 0;  // guest bytes
  std::uint32_t size = 0;
  std::vector<ChunkIndex::Found> chunks;
};

struct Place {
  std::uint32_t group, offset;
};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string sha_text(const Digest& digest) {
  return "sha256:" + to_hex(digest);
}

/// Where each chunk goes: in disk order, and one that comes again where it was the first time.
class Layout {
 public:
  explicit Layout(const StoredDisk& disk) : disk_(disk), groups_(0), index_(oci_header_size) {
    find_limit();
    for (const Manifest::Entry& entry : disk.manifest.entries()) add(entry);
    std::memcpy(index_.data(), "KILNOCI1", 8);
    put_le<std::uint64_t>(index_, 8, disk.manifest.disk_size());
    put_le<std::uint64_t>(index_, 16, disk.manifest.entries().size());
    put_le<std::uint32_t>(index_, 24, chunk_size);
    put_le<std::uint32_t>(index_, 28, static_cast<std::uint32_t>(groups_.size()));
    std::ranges::copy(disk.manifest.content().bytes, index_.begin() + 32);
  }

  const std::vector<Group>& groups() const { return groups_; }
  const std::vector<std::byte>& index() const { return index_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void find_limit() {
    std::uint64_t most = 0;  // repeated chunks counted in full: the limit only has to be large enough
    for (const Manifest::Entry& entry : disk_.manifest.entries()) {
      const ChunkIndex::Found found = disk_.index.find(entry.digest);
      if (found.entry == nullptr)
        throw Error("chunk sha256:" + to_hex(entry.digest) + " is in none of the image's packs",
                    "list every image that is harmed: kiln image verify");
      most += found.entry->stored;
    }
    while (most / limit_ >= most_groups) limit_ *= 2;
  }

  void add(const Manifest::Entry& entry) {
    const ChunkIndex::Found found = disk_.index.find(entry.digest);
    const auto [place, fresh] = placed_.try_emplace(entry.digest);
    if (fresh) place->second = append(found, entry.index);
    const std::size_t at = index_.size();
    index_.resize(at + oci_entry_size);
    const std::span<std::byte> row = std::span(index_).subspan(at);
    put_le<std::uint64_t>(row, 0, entry.index);
    std::ranges::copy(entry.digest.bytes, row.begin() + 8);
    put_le<std::uint32_t>(row, 40, place->second.group);
    put_le<std::uint32_t>(row, 44, place->second.offset);
    put_le<std::uint32_t>(row, 48, found.entry->stored);
    row[52] = static_cast<std::byte>(found.entry->codec);
  }

  Place append(const ChunkIndex::Found& found, std::uint64_t chunk) {
    if (groups_.empty() || groups_.back().size + found.entry->stored > limit_)
      groups_.push_back({chunk * chunk_size, 0, 0, {}});
    Group& group = groups_.back();
    const Place place{static_cast<std::uint32_t>(groups_.size() - 1), group.size};
    group.end = std::min((chunk + 1) * chunk_size, disk_.manifest.disk_size());
    group.size += found.entry->stored;
    group.chunks.push_back(found);
    bytes_ += found.entry->stored;
    return place;
  }

  const StoredDisk& disk_;
  std::vector<Group> groups_;
  std::vector<std::byte> index_;
  std::unordered_map<Digest, Place> placed_;
  std::uint64_t limit_ = usual_group, bytes_ = 0;
};

std::string fact(const Facts& facts, const char* name) {
  const auto it = facts.find(name);
  return it == facts.end() ? "" : it->second;
}

/// In the words of Go's GOARCH and GOOS, as the specification asks. A disk that nobody has looked into is for the
/// machines that kiln starts.
json platform_of(const Facts& facts) {
  const std::string arch = fact(facts, "os.arch"), os = fact(facts, "os.type");
  std::string word = arch;
  if (arch.empty() || arch == "x86_64") word = "amd64";
  if (arch == "aarch64") word = "arm64";
  if (arch == "i386" || arch == "i686") word = "386";
  return {{"architecture", word}, {"os", os.empty() ? "linux" : os}};
}

/// What only means something in this catalog stays here.
json config_of(const ImageEntry& entry) {
  Facts facts = entry.image.facts;
  for (const char* local : {"key", "parent"}) facts.erase(local);
  json config = platform_of(entry.image.facts);
  config["created"] = entry.image.created;
  config["kiln"] = {{"name", entry.image.name},
                    {"version", entry.image.version},
                    {"content", sha_text(entry.image.content)},
                    {"virtual_size", entry.image.virtual_size},
                    {"facts", facts}};
  return config;
}

json descriptor_of(const char* type, const Digest& digest, std::uint64_t size) {
  return {{"mediaType", type}, {"digest", sha_text(digest)}, {"size", size}};
}

/// One export on its way: the blobs in order, and what the manifest says of them.
class Exporter {
 public:
  Exporter(const StoredDisk& disk, const ImageEntry& entry, const OciExport& how)
      : disk_(disk), entry_(entry), how_(how), config_(canonical_json(config_of(entry))), layout_(how.folder) {
    layout_.require_free(entry.reference(), sha256(config_));
  }

  OciExported run() {
    const Layout layout(disk_);
    const Digest config = layout_.put(bytes_of(config_)), index = layout_.put(layout.index());
    json layers = json::array({descriptor_of(index_type, index, layout.index().size())});
    for (const Group& group : layout.groups()) layers.push_back(put(group, layout.bytes()));
    json manifest{{"schemaVersion", 2},         {"mediaType", oci_manifest_type},
                  {"artifactType", image_type}, {"config", descriptor_of(config_type, config, config_.size())},
                  {"layers", layers},           {"annotations", annotations(index)}};
    const std::string text = canonical_json(manifest);
    const Digest digest = layout_.put(bytes_of(text));
    json descriptor = descriptor_of(std::string(oci_manifest_type).c_str(), digest, text.size());
    descriptor["artifactType"] = image_type;
    descriptor["platform"] = platform_of(entry_.image.facts);
    layout_.commit(entry_.reference(), std::move(descriptor));
    return {.tag = entry_.reference(),
            .manifest = digest,
            .blobs = layers.size() + 2,
            .copied = layout_.written(),
            .bytes = layout.bytes() + layout.index().size() + config_.size() + text.size()};
  }

 private:
  json put(const Group& group, std::uint64_t total) {
    blob_.clear();
    blob_.reserve(group.size);
    for (const ChunkIndex::Found& chunk : group.chunks) {
      if (how_.stop.stop_requested()) throw cancelled();
      const auto stored = disk_.index.packs()[chunk.pack]->read_stored(*chunk.entry, chunk_);
      blob_.insert(blob_.end(), stored.begin(), stored.end());
      done_ += stored.size();
      if (how_.progress) how_.progress(done_, total);
    }
    json layer = descriptor_of(chunks_type, layout_.put(blob_), blob_.size());
    layer["annotations"] = {{"vnd.kiln.disk.begin", std::to_string(group.first)},
                            {"vnd.kiln.disk.end", std::to_string(group.end)},
                            {"vnd.kiln.disk.chunks", std::to_string(group.chunks.size())}};
    return layer;
  }

  json annotations(const Digest& index) const {
    return {{"org.opencontainers.image.created", entry_.image.created},
            {"org.opencontainers.image.title", entry_.image.name},
            {"org.opencontainers.image.version", entry_.image.version},
            {"vnd.kiln.disk.content", sha_text(entry_.image.content)},
            {"vnd.kiln.disk.index", sha_text(index)},
            {"vnd.kiln.disk.size", std::to_string(entry_.image.virtual_size)}};
  }

  const StoredDisk& disk_;
  const ImageEntry& entry_;
  const OciExport& how_;
  std::string config_;
  OciLayout layout_;
  std::vector<std::byte> blob_, chunk_;
  std::uint64_t done_ = 0;
};

}  // namespace

OciExported export_oci(const StoredDisk& disk, const ImageEntry& entry, const OciExport& how) {
  return Exporter(disk, entry, how).run();
}

}  // namespace kiln

#pragma once
// Published images, as stages see them.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kiln/block.h>
#include <kiln/format.h>

namespace kiln {

/// A published image of one disk. Immutable once published.
struct Image {
  std::string id;  ///< never reused
  std::string name, version;
  Digest content;  ///< of the disk's guest-visible bytes
  std::uint64_t virtual_size = 0;
  std::uint64_t stored_bytes = 0;  ///< what its publishing added to the store
  std::string created;             ///< ISO 8601, UTC
  Facts facts;                     ///< "arch" "boot.firmware" "os.*" "source.*" "checksum.*" "pipeline" "parent" "key"
};

/// What publishing asks for. An empty version means "the next one of today": 2026-11-22.1, .2, …
struct ImageDraft {
  std::string name, version, channel;
  std::uint64_t virtual_size = 0;
  Facts facts;
};

/// A sink that stores a disk's chunks. The image exists once finish() returned, with facts as they are then.
class ImageSink : public BlockSink {
 public:
  virtual void set_facts(Facts) = 0;       ///< any time before finish()
  virtual const Image& image() const = 0;  ///< after finish()
  virtual std::uint64_t new_chunks() const = 0;
  virtual std::uint64_t all_chunks() const = 0;
};

/// Lent to stages.
class Catalog {
 public:
  virtual std::unique_ptr<ImageSink> publish(const ImageDraft&) = 0;
  /// "name" (the newest) or "name:version".
  virtual std::optional<Image> find(std::string_view reference) const = 0;
  virtual std::shared_ptr<const BlockReader> open(const Image&) const = 0;
  /// What whoever builds from the image or launches it should be told.
  virtual std::vector<std::string> warnings(const Image&) const { return {}; }

 protected:
  ~Catalog() = default;
};

}  // namespace kiln

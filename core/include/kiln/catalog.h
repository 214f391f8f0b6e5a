#pragma once
// Published images, as stages see them.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kiln/block.h>
#include <kiln/format.h>

namespace kiln {

/// What a part of an image is to the machine. Other words may come to be: who does not know a role leaves the part
/// alone.
namespace part_role {
inline constexpr char data[] = "data";          ///< a further disk
inline constexpr char firmware[] = "firmware";  ///< the variables of the firmware, as they are in its flash chip
inline constexpr char memory[] = "memory";      ///< the state of a running machine
}  // namespace part_role

/// What an image has beside its system disk: a further disk of the machine, or what is no disk to the guest, stored as
/// one all the same.
struct ImagePart {
  std::string role;  ///< of part_role
  std::string name;  ///< one of its own in the image: "disk1", "vars"
  Digest content;    ///< of its bytes
  std::uint64_t virtual_size = 0;
};

/// A published image: a system disk, and what else the machine had. Immutable once published.
struct Image {
  std::string id;  ///< never reused
  std::string name, version;
  Digest content;                  ///< of the system disk's guest-visible bytes
  std::uint64_t virtual_size = 0;  ///< of the system disk
  std::uint64_t stored_bytes = 0;  ///< what its publishing added to the store
  std::string created;             ///< ISO 8601, UTC
  Facts facts;                     ///< "arch" "boot.firmware" "os.*" "source.*" "checksum.*" "pipeline" "parent" "key"
  std::vector<ImagePart> parts = {};  ///< beside the system disk, in the order of the machine's bus

  /// Of the system disk and all parts.
  std::uint64_t total_size() const {
    std::uint64_t size = virtual_size;
    for (const ImagePart& part : parts) size += part.virtual_size;
    return size;
  }
};

/// What publishing asks for. An empty version means "the next one of today": 2026-11-22.1, .2, …
struct ImageDraft {
  std::string name, version, channel;
  std::uint64_t virtual_size = 0;
  Facts facts;
};

/// A sink that stores a part of an image which is to be published. After finish() the content is kept, though no image
/// names it, until this ends; an image that was published with it keeps it for good. So whoever is killed leaves
/// nothing.
class PartSink : public BlockSink {
 public:
  virtual const Digest& content() const = 0;  ///< after finish()
  virtual std::uint64_t virtual_size() const = 0;
  virtual std::uint64_t new_chunks() const = 0;
  virtual std::uint64_t all_chunks() const = 0;
  virtual std::uint64_t stored_bytes() const = 0;               ///< after finish(): what it added to the store
  virtual std::string lease() const = 0;                        ///< id of what keeps the content
  virtual std::shared_ptr<const BlockReader> open() const = 0;  ///< after finish()
};

/// A part of the image that is being published.
struct NewPart {
  std::string role, name;                ///< as ImagePart has them
  std::shared_ptr<const PartSink> disk;  ///< finished, of the same catalog, and for one image
};

/// A sink that stores the system disk's chunks. The image exists once finish() returned, with facts as they are then.
class ImageSink : public BlockSink {
 public:
  virtual void set_facts(Facts) = 0;  ///< any time before finish()
  /// Any time before finish(), which publishes all of them with the image, in one step. Throws invalid() for a name
  /// that is none, or is there twice.
  virtual void set_parts(std::vector<NewPart>) = 0;
  virtual const Image& image() const = 0;  ///< after finish()
  virtual std::uint64_t new_chunks() const = 0;
  virtual std::uint64_t all_chunks() const = 0;
};

/// Lent to stages.
class Catalog {
 public:
  virtual std::unique_ptr<ImageSink> publish(const ImageDraft&) = 0;
  /// For a part of an image that will be published, or is being published.
  virtual std::unique_ptr<PartSink> store(std::uint64_t virtual_size) = 0;
  /// "name" (the newest) or "name:version".
  virtual std::optional<Image> find(std::string_view reference) const = 0;
  virtual std::shared_ptr<const BlockReader> open(const Image&) const = 0;
  /// Of one of its parts.
  virtual std::shared_ptr<const BlockReader> open(const Image&, const ImagePart&) const = 0;
  /// What whoever builds from the image or launches it should be told.
  virtual std::vector<std::string> warnings(const Image&) const { return {}; }

 protected:
  ~Catalog() = default;
};

}  // namespace kiln

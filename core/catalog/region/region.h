#pragma once
// A named store of images that copies go to and come from: the folder of a catalog, or a bucket of an object store.

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/block.h>

#include "catalog/authority.h"
#include "catalog/image_entry.h"
#include "disk/manifest.h"

namespace kiln {

/// Takes one image into a region: a sink of a pass over a disk whose digests are all known. The image is there, whole,
/// once finish() returned; without it nothing is seen of it. knows() gives the same answer for all of the pass.
///
/// An image with parts: part() for the first, its pass, its finish(), and so on with the others; then the pass over the
/// system disk.
class RegionSink : public BlockSink {
 public:
  /// For the next part of the image: a sink of a pass over that, which ends before this one does.
  virtual std::unique_ptr<RegionSink> part(const ImagePart&, const Manifest&) = 0;

  /// Once, before the pass: looks for what another copy of this disk had moved before it was killed or interrupted,
  /// verifies that, and knows it from here on. May take as long as reading it does; throws cancelled() once stopped.
  virtual void resume(const Manifest&, const std::stop_token&) {}
  /// Instead of finish(), when the pass was interrupted by no fault of the region's: another copy of the same may come
  /// and go on from what has arrived.
  virtual void leave() noexcept {}

  /// After finish(): the chunks that were not there before, and their bytes as they are stored.
  virtual std::uint64_t moved_chunks() const = 0;
  virtual std::uint64_t moved_bytes() const = 0;
  /// What another copy of the same had moved before it was killed or interrupted, and this one went on from, as far as
  /// the region can tell that from what was there.
  virtual std::uint64_t resumed_chunks() const { return 0; }
  virtual std::uint64_t resumed_bytes() const { return 0; }
};

/// Used as one account, by one thread; but what read() returns may be read by any. Errors name the region.
class Region {
 public:
  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  virtual ~Region();

  virtual const std::string& name() const = 0;
  virtual const Account& account() const = 0;
  /// Batches that are worth having on their way at the same time; 0: as many as there are cores.
  virtual unsigned parallel() const { return 0; }

  /// What the account sees there, by owner and name, the newest first.
  virtual std::vector<ImageEntry> images() const = 0;
  /// As CatalogView::resolve().
  virtual ImageEntry resolve(std::string_view reference, Action) const = 0;

  /// The digests of the chunks of an image's system disk, checked against the digest of its content. For a part:
  /// manifest(disk_of(image, part)), and likewise read().
  virtual Manifest manifest(const Image&) const = 0;
  /// Reads verify every chunk. The region must live as long.
  virtual std::shared_ptr<const BlockReader> read(const Image&) const = 0;
  /// Fills `into` (chunk_size bytes) with the chunk of that digest, verified. Throws Error when it is not there.
  virtual void read_chunk(const Digest&, std::span<std::byte> into) const = 0;

  /// For a copy of an image of this id, owner, name and version, with its labels and dates. `channel`: is pointed at
  /// it in the same step; may be empty. The manifest is that of the system disk.
  virtual std::unique_ptr<RegionSink> receive(const ImageEntry&, const Manifest&, const std::string& channel) = 0;
  /// Gives an image that is there the dates of its original, as they are now. False when nothing was to change, or
  /// nothing can.
  virtual bool follow(ImageEntry&, const Lifecycle& original) {
    (void)original;
    return false;
  }
  /// Points a channel of the image's name at an image that is there.
  virtual void point(const ImageEntry&, const std::string& channel) = 0;
};

}  // namespace kiln

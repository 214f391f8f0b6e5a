#pragma once
// One image on its way into a bucket.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "catalog/region/bucket_objects.h"
#include "catalog/region/bucket_turns.h"
#include "catalog/region/region.h"

namespace kiln {

/// The chunks and the manifest of one disk, on their way under the marker of a copy.
class BucketDisk {
 public:
  /// Borrows all but the manifest.
  BucketDisk(const BucketObjects& objects, CopyMarker& marker, const std::unordered_set<Digest>& present,
             Manifest manifest)
      : objects_(objects), marker_(marker), present_(present), manifest_(std::move(manifest)) {}

  bool knows(const Digest& digest) const { return present_.contains(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const;
  void store(Encoded&);
  /// The list of digests is what says which chunks are there: it is read back.
  void send_manifest();
  bool is_sent() const { return is_sent_; }

  std::uint64_t stored() const { return stored_; }
  std::uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  bool is_first(const Digest&) const;

  const BucketObjects& objects_;
  CopyMarker& marker_;
  const std::unordered_set<Digest>& present_;
  Manifest manifest_;
  mutable std::mutex mutex_;
  mutable std::unordered_set<Digest> taken_;  // that a thread sends
  std::atomic<std::uint64_t> stored_ = 0, sent_bytes_ = 0;
  bool is_sent_ = false;
};

/// Chunks first, each by a request that stores it once; then the manifest, the document, and the name. Without
/// finish(), what was sent stays, and so does the marker by which the next copy finds it. Of a part chunks and manifest
/// are sent; the marker of the image keeps them until the document names them.
class BucketSink final : public RegionSink {
 public:
  /// `manifest` of the disk that will come.
  BucketSink(std::shared_ptr<const BucketObjects>, ImageEntry copy, Manifest, std::string channel);

  bool knows(const Digest& digest) const override { return disk_.knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return disk_.encode(std::move(batch));
  }
  void append(Encoded&) override {}
  void store(Encoded& encoded) override { disk_.store(encoded); }
  void finish() override;
  std::unique_ptr<RegionSink> part(const ImagePart&, const Manifest&) override;

  std::uint64_t moved_chunks() const override { return disk_.stored(); }
  std::uint64_t moved_bytes() const override { return disk_.sent_bytes(); }

 private:
  void require_parts() const;
  bool claim_name() const;

  std::shared_ptr<const BucketObjects> objects_;
  ImageEntry copy_;
  std::string channel_;
  CopyMarker marker_;
  std::unordered_set<Digest> present_;
  BucketDisk disk_;
  std::vector<std::unique_ptr<BucketDisk>> parts_;
};

}  // namespace kiln

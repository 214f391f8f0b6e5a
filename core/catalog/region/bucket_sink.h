#pragma once
// One image on its way into a bucket.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "catalog/region/bucket_objects.h"
#include "catalog/region/bucket_turns.h"
#include "catalog/region/region.h"

namespace kiln {

/// Chunks first, each by a request that stores it once; then the manifest, the document, and the name. Without
/// finish(), what was sent stays, and so does the marker by which the next copy finds it.
class BucketSink final : public RegionSink {
 public:
  /// `manifest` of the disk that will come.
  BucketSink(std::shared_ptr<const BucketObjects>, ImageEntry copy, Manifest, std::string channel);

  bool knows(const Digest& digest) const override { return present_.contains(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const override;
  void append(Encoded&) override {}
  void store(Encoded&) override;
  void finish() override;

  std::uint64_t moved_chunks() const override { return stored_; }
  std::uint64_t moved_bytes() const override { return sent_bytes_; }

 private:
  bool is_first(const Digest&) const;
  void send_manifest() const;
  bool claim_name() const;

  std::shared_ptr<const BucketObjects> objects_;
  ImageEntry copy_;
  Manifest manifest_;
  std::string channel_;
  CopyMarker marker_;
  std::unordered_set<Digest> present_;
  mutable std::mutex mutex_;
  mutable std::unordered_set<Digest> taken_;  // that a thread sends
  std::atomic<std::uint64_t> stored_ = 0, sent_bytes_ = 0;
};

}  // namespace kiln

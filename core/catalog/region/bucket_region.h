#pragma once
// A bucket of an object store as a region. It has no records of its own: what is in it is said by its objects, and an
// image is there once its name is claimed, in one conditional request.

#include <memory>
#include <string>

#include "catalog/collection.h"
#include "catalog/region/bucket_objects.h"
#include "catalog/region/bucket_usage.h"
#include "catalog/region/region.h"

namespace kiln {

/// Who may do what is decided as in a catalog, by owner; there are no shares. Whoever holds the bucket's keys can do
/// everything with it anyway.
class BucketRegion final : public Region {
 public:
  /// `cache`: a folder of this region's own, for what never changes.
  BucketRegion(std::string name, s3::BucketPlace place, Account account, std::filesystem::path cache)
      : objects_(std::make_shared<const BucketObjects>(std::move(name), std::move(place), std::move(cache))),
        account_(std::move(account)) {}

  const std::string& name() const override { return objects_->region(); }
  const Account& account() const override { return account_; }
  unsigned parallel() const override { return BucketObjects::in_flight; }

  std::vector<ImageEntry> images() const override;
  ImageEntry resolve(std::string_view reference, Action) const override;
  Manifest manifest(const Image& image) const override { return objects_->manifest(image.content); }
  std::shared_ptr<const BlockReader> read(const Image&) const override;
  void read_chunk(const Digest& digest, std::span<std::byte> into) const override {
    objects_->read_chunk(digest, into);
  }
  std::unique_ptr<RegionSink> receive(const ImageEntry&, const Manifest&, const std::string& channel) override;
  void point(const ImageEntry&, const std::string& channel) override;

  /// For good, at once: a bucket has no trash. Its chunks stay until they are collected. Errors as resolve().
  ImageEntry remove(std::string_view reference);

  /// For the operator; refused() for others. See bucket_collection.h.
  Collected collect(bool dry_run);

  /// What everybody kept there, as UsageRecords::samples() gives it from `from` on.
  std::vector<UsageSample> usage(const Moment& from) const { return bucket_usage(*objects_, from); }

 private:
  std::shared_ptr<const BucketObjects> objects_;
  Account account_;
};

}  // namespace kiln

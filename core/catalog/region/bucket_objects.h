#pragma once
// What lies where in a region's bucket; docs/store.md describes it. Manifests and documents of images never change, so
// what was read of them is kept in a folder.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include <kiln/digest.h>

#include "catalog/image_entry.h"
#include "disk/manifest.h"
#include "s3/bucket.h"

namespace kiln {

/// Any thread. Errors name the region.
class BucketObjects {
 public:
  /// Requests that are on their way at the same time.
  static constexpr unsigned in_flight = 8;
  /// Bytes that the document of an image may have.
  static constexpr std::size_t document_limit = 1u << 20;

  /// `cache` is made when it is missing.
  BucketObjects(std::string region, s3::BucketPlace, std::filesystem::path cache);

  const std::string& region() const noexcept { return region_; }
  const s3::Bucket& bucket() const noexcept { return bucket_; }
  const std::filesystem::path& cache() const noexcept { return cache_; }

  /// f(0) … f(count - 1), several at once. The first exception ends it.
  static void for_each(std::size_t count, const std::function<void(std::size_t)>& f);

  static std::string chunk_key(const Digest&);
  static std::string manifest_key(const Digest& content);
  /// With what the keys of the markers of this content's copies begin.
  static std::string marker_key(const Digest& content);
  static std::string document_key(const std::string& id);
  static std::string name_key(const ImageEntry&);
  static std::string channel_key(const ImageEntry&, const std::string& channel);

  /// Throws Error when it is not there, or is damaged.
  Manifest manifest(const Digest& content) const;
  /// Of which contents there are manifests.
  std::set<Digest> manifests() const;
  /// Fills `into` (chunk_size bytes), verified.
  void read_chunk(const Digest&, std::span<std::byte> into) const;
  /// All chunks that the bucket surely has: those of its manifests; and those that it lists, when it holds the marker
  /// of a copy that has not ended, other than `own`.
  std::unordered_set<Digest> present(const std::string& own) const;

  /// All images, or those of one owner, with their channels; by owner and name, the newest first.
  std::vector<ImageEntry> images(const std::string& owner) const;
  /// Takes the image's name away, and with it the image, then its channels and its document. Also when it is gone.
  void forget(const ImageEntry&) const;
  /// The text of a small object; empty when it is not there.
  std::string text(const std::string& key) const;

 private:
  std::optional<ImageEntry> image_named(const std::string& key) const;
  std::optional<ImageEntry> document(const std::string& id) const;
  void forget_others(const std::set<Digest>& manifests) const;

  std::string region_;
  s3::Bucket bucket_;
  std::filesystem::path cache_;
};

}  // namespace kiln

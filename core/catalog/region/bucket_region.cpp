#include "catalog/region/bucket_region.h"

#include <algorithm>

#include "catalog/image_reader.h"
#include "catalog/names.h"
#include "catalog/region/bucket_collection.h"
#include "catalog/region/bucket_sink.h"
#include "catalog/view.h"

namespace kiln {
namespace {

/// What is seen is one's own, or everybody's for an operator.
Standing standing_of(const Account& account) {
  return {account.is_operator ? Standing::Role::operator_ : Standing::Role::owner, true};
}

bool is_meant(const ImageEntry& entry, const Reference& wanted, const Account& account) {
  if (entry.image.name != wanted.name) return false;
  return wanted.owner.empty() ? entry.owner == account.name || account.is_operator : entry.owner == wanted.owner;
}

bool has_tag(const ImageEntry& entry, const std::string& tag) {
  return entry.image.version == tag || std::ranges::find(entry.channels, tag) != entry.channels.end();
}

}  // namespace

std::vector<ImageEntry> BucketRegion::images() const {
  std::vector<ImageEntry> all = objects_->images(account_.is_operator ? "" : account_.name);
  inherit_revocations(all);
  return all;
}

ImageEntry BucketRegion::resolve(std::string_view reference, Action action) const {
  const Reference wanted = parse_reference(reference);
  const ImageEntry* found = nullptr;
  const std::vector<ImageEntry> all = images();
  // The account's own come first, as in its catalog; of a name alone the newest that is available.
  for (const bool own : {true, false})
    for (const ImageEntry& entry : all) {
      if ((entry.owner == account_.name) != own || found != nullptr) continue;
      const bool named = is_meant(entry, wanted, account_) &&
                         (wanted.tag.empty() ? entry.state() == ImageState::available : has_tag(entry, wanted.tag));
      if (named || entry.image.id == reference) found = &entry;
    }
  if (found == nullptr)
    throw invalid("there is no image \"" + std::string(reference) + "\" in region \"" + name() + "\"",
                  "see which images it has: kiln image list --region " + name());
  require(action, standing_of(account_), *found);
  return *found;
}

std::shared_ptr<const BlockReader> BucketRegion::read(const Image& image) const {
  return std::make_shared<const ImageReader>(
      manifest(image),
      [objects = objects_](const Digest& digest, std::span<std::byte> into) { objects->read_chunk(digest, into); });
}

std::unique_ptr<RegionSink> BucketRegion::receive(const ImageEntry& copy, const Manifest& manifest,
                                                  const std::string& channel) {
  return std::make_unique<BucketSink>(objects_, copy, manifest, channel);
}

void BucketRegion::point(const ImageEntry& at, const std::string& channel) {
  require_name("channel", channel);
  const ImageEntry entry = resolve(at.image.id, Action::promote);
  objects_->bucket().put(BucketObjects::channel_key(entry, channel), std::as_bytes(std::span(entry.image.id)));
}

ImageEntry BucketRegion::remove(std::string_view reference) {
  ImageEntry entry = resolve(reference, Action::trash);
  // First the record: once the name is gone, nothing else tells that the image was there.
  record_removal(*objects_, entry, now_moment());
  objects_->forget(entry);
  return entry;
}

Collected BucketRegion::collect(bool dry_run) {
  if (!account_.is_operator)
    throw refused("only the catalog's operator may collect region \"" + name() + "\"",
                  "remove images of your own: kiln image rm IMAGE --region " + name());
  return collect_bucket(*objects_, dry_run);
}

}  // namespace kiln

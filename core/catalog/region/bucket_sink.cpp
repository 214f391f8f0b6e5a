#include "catalog/region/bucket_sink.h"

#include <algorithm>
#include <stdexcept>

#include "catalog/names.h"
#include "catalog/pack_file.h"
#include "catalog/region/image_document.h"

namespace kiln {
namespace {

struct Records final : Encoded {
  struct Record {
    Digest digest;
    std::vector<std::byte> bytes;
  };
  std::vector<Record> records;
};

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// The pass over a part.
class BucketPart final : public RegionSink {
 public:
  explicit BucketPart(BucketDisk& disk) : disk_(disk) {}

  std::unique_ptr<RegionSink> part(const ImagePart&, const Manifest&) override {
    throw std::logic_error("a part has no parts");
  }
  bool knows(const Digest& digest) const override { return disk_.knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return disk_.encode(std::move(batch));
  }
  void append(Encoded&) override {}
  void store(Encoded& encoded) override { disk_.store(encoded); }
  void finish() override { disk_.send_manifest(); }
  std::uint64_t moved_chunks() const override { return disk_.stored(); }
  std::uint64_t moved_bytes() const override { return disk_.sent_bytes(); }

 private:
  BucketDisk& disk_;
};

}  // namespace

BucketSink::BucketSink(std::shared_ptr<const BucketObjects> objects, ImageEntry copy, Manifest manifest,
                       std::string channel)
    : objects_(std::move(objects)),
      copy_(std::move(copy)),
      channel_(std::move(channel)),
      marker_(*objects_, manifest.content()),
      present_(objects_->present(marker_.key())),
      disk_(*objects_, marker_, present_, std::move(manifest)) {}

std::unique_ptr<RegionSink> BucketSink::part(const ImagePart&, const Manifest& manifest) {
  parts_.push_back(std::make_unique<BucketDisk>(*objects_, marker_, present_, manifest));
  return std::make_unique<BucketPart>(*parts_.back());
}

bool BucketDisk::is_first(const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  return taken_.insert(digest).second;
}

std::unique_ptr<Encoded> BucketDisk::encode(std::shared_ptr<const Batch> batch) const {
  auto out = std::make_unique<Records>();
  for (std::size_t i = 0; i < batch->digests.size(); ++i) {
    const Digest& digest = batch->digests[i];
    if (digest.is_zero_chunk() || knows(digest) || !is_first(digest)) continue;
    out->records.push_back({digest, make_record(digest, batch->bytes.subspan(i * chunk_size, chunk_size))});
  }
  out->batch = std::move(batch);
  return out;
}

void BucketDisk::store(Encoded& encoded) {
  marker_.renew();
  for (const Records::Record& record : static_cast<Records&>(encoded).records) {
    if (objects_.bucket().put_new(BucketObjects::chunk_key(record.digest), record.bytes)) ++stored_;
    sent_bytes_ += record.bytes.size();
  }
}

void BucketDisk::send_manifest() {
  marker_.require();
  const std::string key = BucketObjects::manifest_key(manifest_.content());
  const bool is_new = objects_.bucket().put_new(key, manifest_.bytes());
  const auto stored = objects_.bucket().get(key, manifest_.bytes().size());
  if (!stored || !std::ranges::equal(*stored, manifest_.bytes()))
    throw Error("region \"" + objects_.region() + "\" did not keep the manifest as it was sent",
                "remove this object and copy again", {objects_.bucket().url() + "/" + key});
  is_sent_ = marker_.is_there();
  if (is_sent_) return;
  if (is_new) objects_.bucket().remove(key);  // others must not count on its chunks
  marker_.require();
}

void BucketSink::require_parts() const {
  const auto sent = [](const std::unique_ptr<BucketDisk>& part) { return part->is_sent(); };
  if (parts_.size() != copy_.image.parts.size() || !std::ranges::all_of(parts_, sent))
    throw Error("a part of image " + copy_.reference() + " has not arrived", "copy it again");
}

/// Whether this very request has claimed it.
bool BucketSink::claim_name() const {
  const std::string key = BucketObjects::name_key(copy_);
  std::string holder;
  // Who holds it may be removed between the two requests; then it is free again.
  for (int looks = 0; holder.empty() && looks < 100; ++looks) {
    if (objects_->bucket().put_new(key, as_bytes(copy_.image.id))) return true;
    holder = objects_->text(key);
  }
  if (holder == copy_.image.id) return false;  // by this very image: a request that was repeated, or a copy
  objects_->bucket().remove(BucketObjects::document_key(copy_.image.id));
  throw version_exists(copy_.image.name, copy_.image.version);
}

void BucketSink::finish() {
  const s3::Bucket& bucket = objects_->bucket();
  require_parts();
  disk_.send_manifest();
  copy_.image.created = now_moment();
  copy_.image.stored_bytes = disk_.sent_bytes();
  for (const auto& part : parts_) copy_.image.stored_bytes += part->sent_bytes();
  bucket.put(BucketObjects::document_key(copy_.image.id), as_bytes(to_document(copy_)));
  const bool claimed = claim_name();
  // While the marker is there, no collection has gone on without it; and those that begin from now on see the name.
  if (!marker_.is_there()) {
    if (claimed) objects_->forget(copy_);
    marker_.require();
  }
  // Somebody may have removed this very image meanwhile, and its document after it was put; see BucketObjects::forget.
  if (!bucket.get(BucketObjects::document_key(copy_.image.id), BucketObjects::document_limit))
    bucket.put(BucketObjects::document_key(copy_.image.id), as_bytes(to_document(copy_)));
  if (!channel_.empty()) bucket.put(BucketObjects::channel_key(copy_, channel_), as_bytes(copy_.image.id));
  marker_.end();
}

}  // namespace kiln

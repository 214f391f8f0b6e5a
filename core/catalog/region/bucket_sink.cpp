#include "catalog/region/bucket_sink.h"

#include <algorithm>

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

}  // namespace

BucketSink::BucketSink(std::shared_ptr<const BucketObjects> objects, ImageEntry copy, Manifest manifest,
                       std::string channel)
    : objects_(std::move(objects)),
      copy_(std::move(copy)),
      manifest_(std::move(manifest)),
      channel_(std::move(channel)),
      marker_(*objects_, manifest_.content()),
      present_(objects_->present(marker_.key())) {}

bool BucketSink::is_first(const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  return taken_.insert(digest).second;
}

std::unique_ptr<Encoded> BucketSink::encode(std::shared_ptr<const Batch> batch) const {
  auto out = std::make_unique<Records>();
  for (std::size_t i = 0; i < batch->digests.size(); ++i) {
    const Digest& digest = batch->digests[i];
    if (digest.is_zero_chunk() || knows(digest) || !is_first(digest)) continue;
    out->records.push_back({digest, make_record(digest, batch->bytes.subspan(i * chunk_size, chunk_size))});
  }
  out->batch = std::move(batch);
  return out;
}

void BucketSink::store(Encoded& encoded) {
  marker_.renew();
  for (const Records::Record& record : static_cast<Records&>(encoded).records) {
    if (objects_->bucket().put_new(BucketObjects::chunk_key(record.digest), record.bytes)) ++stored_;
    sent_bytes_ += record.bytes.size();
  }
}

/// The list of digests is what says which chunks are there: it is read back.
void BucketSink::send_manifest() const {
  const std::string key = BucketObjects::manifest_key(manifest_.content());
  const bool is_new = objects_->bucket().put_new(key, manifest_.bytes());
  const auto stored = objects_->bucket().get(key, manifest_.bytes().size());
  if (!stored || !std::ranges::equal(*stored, manifest_.bytes()))
    throw Error("region \"" + objects_->region() + "\" did not keep the manifest as it was sent",
                "remove this object and copy again", {objects_->bucket().url() + "/" + key});
  if (marker_.is_there()) return;
  if (is_new) objects_->bucket().remove(key);  // others must not count on its chunks
  marker_.require();
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
  marker_.require();
  send_manifest();
  copy_.image.created = now_moment();
  copy_.image.stored_bytes = sent_bytes_;
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

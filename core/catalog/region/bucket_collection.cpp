#include "catalog/region/bucket_collection.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

#include "catalog/image_parts.h"
#include "catalog/region/bucket_turns.h"
#include "catalog/region/bucket_usage.h"

namespace kiln {
namespace {

using Kind = Collectable::Kind;

/// Something in the bucket that may have to go. `name`: as it is reported.
struct Candidate {
  Kind kind;
  std::string key, name, why;
  std::uint64_t bytes = 0;
  std::string points_at = {};  ///< of a channel: the id of an image that is gone
};

/// What the bucket held at one time. Whatever came later is none of a collection's business.
struct Holdings {
  // In this order: the chunks of a manifest that is there are there, too.
  std::set<Digest> manifests;
  std::vector<s3::Listed> chunks, documents, channels;
  ChunkSizes sizes;

  explicit Holdings(const BucketObjects& objects)
      : manifests(objects.manifests()),
        chunks(objects.bucket().list_objects("chunks/")),
        documents(objects.bucket().list_objects("images/")),
        channels(objects.bucket().list_objects("channels/")) {
    for (const s3::Listed& chunk : chunks)
      if (const auto digest = digest_of(chunk)) sizes[*digest] = chunk.bytes;
  }
  static std::optional<Digest> digest_of(const s3::Listed& chunk) {
    return parse_digest(chunk.key.substr(chunk.key.rfind('/') + 1));
  }
};

/// What images need, at the moment at which it is made.
class Needs {
 public:
  explicit Needs(const BucketObjects& objects) : objects_(objects) {
    for (const ImageEntry& entry : objects.images("")) {
      for (const Digest& content : contents_of(entry.image)) contents_.insert(content);
      ids_.insert(entry.image.id);
      documents_.insert(BucketObjects::document_key(entry.image.id));
    }
  }

  /// Manifests first, then chunks: so a manifest that is there always has its chunks, whatever ends the collection.
  std::vector<Candidate> unneeded(const Holdings& held) {
    std::vector<Candidate> out;
    for (const Digest& content : held.manifests)
      if (!contents_.contains(content))
        out.push_back({Kind::disk, BucketObjects::manifest_key(content), to_hex(content), "no image has it"});
    for (const s3::Listed& document : held.documents)
      if (!documents_.contains(document.key) && is_document(document.key))
        out.push_back({Kind::file, document.key, document.key, "its image was removed"});
    std::ranges::move(channels_of_nothing(held), std::back_inserter(out));
    const std::unordered_set<Digest> needed = chunks_besides(held.manifests);
    for (const s3::Listed& chunk : held.chunks)
      if (const auto digest = Holdings::digest_of(chunk); digest && !needed.contains(*digest))
        out.push_back({Kind::chunks, chunk.key, "", "no image has them", chunk.bytes});
    return out;
  }

 private:
  /// Others may have put anything there.
  static bool is_document(const std::string& key) {
    const std::string id = key.substr(key.find('/') + 1, 32);
    return key == BucketObjects::document_key(id) && id.find_first_not_of("0123456789abcdef") == std::string::npos;
  }

  std::vector<Candidate> channels_of_nothing(const Holdings& held) const {
    std::vector<std::string> ids(held.channels.size());
    BucketObjects::for_each(ids.size(), [&](std::size_t i) { ids[i] = objects_.text(held.channels[i].key); });
    std::vector<Candidate> out;
    for (std::size_t i = 0; i < ids.size(); ++i)
      if (const std::string& key = held.channels[i].key; !ids_.contains(ids[i]))
        out.push_back({Kind::file, key, key, "its image was removed", 0, ids[i]});
    return out;
  }

  /// Of the contents of images, and of manifests that came since.
  std::unordered_set<Digest> chunks_besides(const std::set<Digest>& manifests) const {
    std::set<Digest> kept = contents_;
    for (const Digest& content : objects_.manifests())
      if (!manifests.contains(content)) kept.insert(content);
    std::unordered_set<Digest> out;
    for (const Digest& content : kept) {
      const Manifest manifest = objects_.manifest(content);
      for (const Manifest::Entry& entry : manifest.entries()) out.insert(entry.digest);
    }
    return out;
  }

  const BucketObjects& objects_;
  std::set<Digest> contents_;
  std::set<std::string> ids_, documents_;
};

class BucketCollection {
 public:
  explicit BucketCollection(const BucketObjects& objects) : objects_(objects), held_(objects) {}

  Collected would() {
    const bool waits = look_at_markers(now_moment(), false);
    report(Needs(objects_).unneeded(held_), waits);
    return std::move(out_);
  }

  Collected run() {
    while (take_turn()) continue;
    return std::move(out_);
  }

 private:
  /// Whether another turn is worth it: what is left had no time.
  bool take_turn() {
    const CollectionTurn turn(objects_);
    // Looked at again once the dead ones are gone: a copy that gives a sign at this moment finds its last one missing,
    // or is found alive here.
    const bool buried = look_at_markers(turn.began(), true) || look_at_markers(turn.began(), true);
    const std::vector<Candidate> unneeded = Needs(objects_).unneeded(held_);
    if (buried) {
      report(unneeded, true);
      return false;
    }
    std::vector<Candidate> gone;
    for (const auto kind : {Kind::disk, Kind::file, Kind::chunks}) {
      std::vector<Candidate> step;
      std::ranges::copy_if(unneeded, std::back_inserter(step), [&](const Candidate& c) { return c.kind == kind; });
      std::ranges::move(remove(step, turn), std::back_inserter(gone));
    }
    report(gone, false);
    forget(gone);
    if (!turn.is_over()) return false;
    if (gone.empty())
      throw Error("region \"" + objects_.region() + "\" answers too slowly to be collected", "try again later");
    return true;
  }

  /// Whether a copy runs. Dead ones are reported, and buried if so wanted.
  bool look_at_markers(const Moment& now, bool bury_dead) {
    bool running = false;
    for (const SeenMarker& marker : markers_at(objects_, now)) {
      if (marker.dead) {
        if (bury_dead) bury(objects_, marker);
        out_.items.push_back({Kind::lease, marker.key, 0, marker.why});
      } else if (!std::exchange(running, true)) {
        out_.items.push_back({Kind::lease, marker.key, 0, "a copy runs, and may need what is there", true});
      }
    }
    return running;
  }

  /// What was removed before the turn was over.
  std::vector<Candidate> remove(const std::vector<Candidate>& all, const CollectionTurn& turn) {
    std::vector<char> removed(all.size());
    BucketObjects::for_each(all.size(), [&](std::size_t i) {
      if (turn.is_over()) return;
      if (all[i].kind == Kind::disk) write_weights(all[i].name);
      // Somebody may have moved the channel since it was looked at.
      if (!all[i].points_at.empty() && objects_.text(all[i].key) != all[i].points_at) return;
      if (turn.is_over()) return;
      objects_.bucket().remove(all[i].key);
      removed[i] = 1;
    });
    std::vector<Candidate> out;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (removed[i] != 0) out.push_back(all[i]);
    return out;
  }

  void write_weights(const std::string& hex) const {
    const Digest content = parse_digest(hex).value_or(Digest{});
    try {
      record_weights(objects_, objects_.manifest(content), held_.sizes);
    } catch (const Error&) {
      // Damaged: what it names is not known, and nobody pays for what is damaged.
    }
  }

  /// So that the next turn does not take it for there.
  void forget(const std::vector<Candidate>& gone) {
    std::unordered_set<std::string> keys;
    for (const Candidate& item : gone) keys.insert(item.key);
    const auto is_gone = [&](const s3::Listed& object) { return keys.contains(object.key); };
    for (auto* list : {&held_.chunks, &held_.documents, &held_.channels}) std::erase_if(*list, is_gone);
    std::erase_if(held_.manifests,
                  [&](const Digest& content) { return keys.contains(BucketObjects::manifest_key(content)); });
  }

  void report(const std::vector<Candidate>& items, bool waits) {
    std::uint64_t chunks = 0, bytes = 0;
    for (const Candidate& item : items) {
      if (item.kind != Kind::chunks)
        out_.items.push_back({item.kind, item.name, 0, item.why, waits});
      else
        ++chunks;
      bytes += item.bytes;
    }
    if (chunks > 0) out_.items.push_back({Kind::chunks, std::to_string(chunks), bytes, "no image has them", waits});
    if (!waits) out_.bytes += bytes;
    out_.postponed = out_.postponed || (waits && !items.empty());
  }

  const BucketObjects& objects_;
  Holdings held_;
  Collected out_;
};

}  // namespace

Collected collect_bucket(const BucketObjects& objects, bool dry_run) {
  BucketCollection collection(objects);
  return dry_run ? collection.would() : collection.run();
}

}  // namespace kiln

#include "catalog/region/bucket_objects.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>

#include <kiln/file.h>

#include "catalog/pack_file.h"
#include "catalog/region/image_document.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t manifest_limit = 1u << 30;  // of a disk of 1.6 TiB
constexpr std::size_t text_limit = 512;
constexpr std::chrono::milliseconds pause_between_looks{50};
constexpr std::string_view manifest_suffix = ".manifest";

std::string last_part(const std::string& key) {
  return key.substr(key.rfind('/') + 1);
}

}  // namespace

BucketObjects::BucketObjects(std::string region, s3::BucketPlace place, fs::path cache)
    : region_(std::move(region)), bucket_(std::move(place)), cache_(std::move(cache)) {
  std::error_code error;
  fs::create_directories(cache_, error);
  if (error) throw system_error("cannot make the folder " + cache_.string(), error.value());
}

void BucketObjects::for_each(std::size_t count, const std::function<void(std::size_t)>& f) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    try {
      for (std::size_t i; (i = next++) < count;) f(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::min<std::size_t>(count, in_flight); ++i) threads.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
}

std::string BucketObjects::chunk_key(const Digest& digest) {
  const std::string hex = to_hex(digest);
  return "chunks/" + hex.substr(0, 2) + "/" + hex;
}

std::string BucketObjects::manifest_key(const Digest& content) {
  return "disks/" + to_hex(content) + std::string(manifest_suffix);
}

std::string BucketObjects::marker_key(const Digest& content) {
  return "copies/" + to_hex(content);
}

std::string BucketObjects::document_key(const std::string& id) {
  return "images/" + id + ".json";
}

std::string BucketObjects::name_key(const ImageEntry& entry) {
  return "names/" + entry.owner + "/" + entry.image.name + "/" + entry.image.version;
}

std::string BucketObjects::channel_key(const ImageEntry& entry, const std::string& channel) {
  return "channels/" + entry.owner + "/" + entry.image.name + "/" + channel;
}

Manifest BucketObjects::manifest(const Digest& content) const {
  const fs::path file = cache_ / (to_hex(content) + std::string(manifest_suffix));
  if (fs::exists(file)) try {
      Manifest kept = Manifest::open(file);
      if (kept.content() == content) return kept;
    } catch (const Error&) {
      // it is fetched again
    }
  const auto body = bucket_.get(manifest_key(content), manifest_limit);
  if (!body)
    throw Error("region \"" + region_ + "\" has no content sha256:" + to_hex(content),
                "see which images it has: kiln image list --region " + region_);
  PendingFile pending(file);
  File::create(pending.path()).write_at(0, *body);
  try {
    Manifest fetched = Manifest::open(pending.path());
    if (fetched.content() != content) throw Error("it describes another disk");
    pending.commit(false);
    return fetched;
  } catch (const Error& error) {
    throw Error("region \"" + region_ + "\" holds a damaged manifest", "use another region that has the image",
                {bucket_.url() + "/" + manifest_key(content) + ": " + error.what()});
  }
}

std::set<Digest> BucketObjects::manifests() const {
  std::set<Digest> out;
  for (const std::string& key : bucket_.list("disks/")) {
    const std::string name = last_part(key);
    // Others may have put anything there.
    if (const auto content = parse_digest(name.substr(0, name.find('.')))) out.insert(*content);
  }
  return out;
}

void BucketObjects::read_chunk(const Digest& digest, std::span<std::byte> into) const {
  const auto record = bucket_.get(chunk_key(digest), record_header_size + chunk_size);
  if (!record) throw Error("region \"" + region_ + "\" has no chunk sha256:" + to_hex(digest), "try another region");
  if (const std::string why = decode_record(*record, digest, into); !why.empty())
    throw Error("chunk sha256:" + to_hex(digest) + " of region \"" + region_ + "\" is damaged: " + why,
                "use another region that has the image", {bucket_.url() + "/" + chunk_key(digest)});
}

std::unordered_set<Digest> BucketObjects::present(const std::string& own) const {
  std::unordered_set<Digest> out;
  std::mutex mutex;
  const std::set<Digest> listed = manifests();
  forget_others(listed);
  const std::vector<Digest> contents(listed.begin(), listed.end());
  for_each(contents.size(), [&](std::size_t i) {
    const Manifest known = manifest(contents[i]);
    const std::lock_guard lock(mutex);
    for (const Manifest::Entry& entry : known.entries()) out.insert(entry.digest);
  });
  const std::vector<std::string> copies = bucket_.list("copies/");
  if (std::ranges::any_of(copies, [&](const std::string& key) { return key != own; }))
    for (const std::string& key : bucket_.list("chunks/"))
      if (const auto digest = parse_digest(last_part(key))) out.insert(*digest);
  return out;
}

/// What somebody removed from the bucket must not be taken for there.
void BucketObjects::forget_others(const std::set<Digest>& manifests) const {
  std::set<std::string> there;
  for (const Digest& content : manifests) there.insert(last_part(manifest_key(content)));
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(cache_, ignored))
    if (entry.path().extension() == manifest_suffix && !there.contains(entry.path().filename()))
      fs::remove(entry.path(), ignored);
}

std::string BucketObjects::text(const std::string& key) const {
  const auto body = bucket_.get(key, text_limit);
  return body ? std::string(reinterpret_cast<const char*>(body->data()), body->size()) : std::string();
}

std::optional<ImageEntry> BucketObjects::document(const std::string& id) const {
  const auto body = bucket_.get(document_key(id), document_limit);
  if (!body) return std::nullopt;
  return from_document({reinterpret_cast<const char*>(body->data()), body->size()});
}

/// Nothing when it was removed between the listing and this look.
std::optional<ImageEntry> BucketObjects::image_named(const std::string& key) const {
  std::string id = text(key);
  if (id.empty()) return std::nullopt;
  try {
    if (id.size() > 36 || id.find_first_not_of("0123456789abcdef-") != std::string::npos)
      throw Error("it names no image");
    std::optional<ImageEntry> entry = document(id);
    // A removal takes the name first; and a copy of the same image may have claimed it again, and be about to say more.
    for (int looks = 1; !entry && looks <= 5; ++looks) {
      if (text(key) != id) return std::nullopt;
      std::this_thread::sleep_for(pause_between_looks * looks);
      entry = document(id);
    }
    if (!entry) throw Error("it is not there");
    if (entry->image.id != id || name_key(*entry) != key) throw Error("the document is that of another image");
    entry->region = region_;
    return entry;
  } catch (const Error& error) {
    if (error.failure() == Failure::refused) throw;
    std::vector<std::string> evidence{bucket_.url() + "/" + key + " → " + document_key(id) + ": " + error.what()};
    evidence.insert(evidence.end(), error.evidence().begin(), error.evidence().end());
    throw Error("an image of region \"" + region_ + "\" cannot be read", "remove both objects, and copy it there again",
                evidence);
  }
}

void BucketObjects::forget(const ImageEntry& entry) const {
  const std::string& id = entry.image.id;
  // A copy of this very image may claim the name again while its document goes. It looks for the document after its
  // claim, this looks for the name after the removal: so one of them notices, and no name is left without a document.
  while (text(name_key(entry)) == id) {
    bucket_.remove(name_key(entry));
    for (const std::string& key : bucket_.list(channel_key(entry, "")))
      if (text(key) == id) bucket_.remove(key);
    bucket_.remove(document_key(id));
  }
}

std::vector<ImageEntry> BucketObjects::images(const std::string& owner) const {
  const std::string part = owner.empty() ? "" : owner + "/";
  const std::vector<std::string> keys = bucket_.list("names/" + part), channels = bucket_.list("channels/" + part);
  std::vector<std::optional<ImageEntry>> found(keys.size());
  for_each(keys.size(), [&](std::size_t i) { found[i] = image_named(keys[i]); });
  std::vector<ImageEntry> out;
  for (std::optional<ImageEntry>& entry : found)
    if (entry) out.push_back(std::move(*entry));
  std::vector<std::string> ids(channels.size());
  for_each(channels.size(), [&](std::size_t i) { ids[i] = text(channels[i]); });
  for (std::size_t i = 0; i < channels.size(); ++i)
    if (const auto at = std::ranges::find(out, ids[i], [](const ImageEntry& e) { return e.image.id; }); at != out.end())
      at->channels.push_back(last_part(channels[i]));
  std::ranges::stable_sort(out, [](const ImageEntry& a, const ImageEntry& b) {
    return std::tie(a.owner, a.image.name, b.image.created, b.image.version) <
           std::tie(b.owner, b.image.name, a.image.created, a.image.version);
  });
  return out;
}

}  // namespace kiln

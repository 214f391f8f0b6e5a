#include "catalog/region/bucket_turns.h"

#include <ctime>
#include <filesystem>
#include <span>
#include <thread>

#include "catalog/lease.h"
#include "catalog/store.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr const char *collections = "collections/", *copies = "copies/";
constexpr std::chrono::minutes between_signs{30}, longest_wait{5};

std::span<const std::byte> host() {
  static const std::string name = Lease::this_host();  // for people who look into the bucket
  return std::as_bytes(std::span(name));
}

/// "copies/<content>-<id>.<sign>": the file by which this home tells whether the copy's process lives.
fs::path file_of(const BucketObjects& objects, const std::string& key) {
  const std::size_t from = key.rfind('-') + 1;
  return objects.cache() / (key.substr(from, key.find('.') - from) + ".copy");
}

/// Of a process of this home that has ended. The cache may be gone, or be another home's: then nobody knows.
bool has_died(const fs::path& file) {
  return fs::exists(file) && FileLock::try_exclusive(file).has_value();
}

/// When the object was last written; nothing when it is not there.
std::optional<Moment> moment_of(const BucketObjects& objects, const std::string& key) {
  for (const s3::Listed& object : objects.bucket().list_objects(key))
    if (object.key == key) return object.modified;
  return std::nullopt;
}

Error taken_for_dead(const BucketObjects& objects) {
  return Error("the copy to region \"" + objects.region() + "\" has taken so long that a collection took it for dead",
               "copy the image again", {"its marker is gone, and perhaps chunks that it counts on"});
}

}  // namespace

std::chrono::seconds boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec);
}

CopyMarker::CopyMarker(const BucketObjects& objects, const Digest& content)
    : objects_(objects),
      content_(content),
      id_(random_id()),
      alive_(FileLock::exclusive(file_of(objects, key_of(0)))),
      key_(key_of(0)) {
  put();
  wait_for_collections();
}

std::string CopyMarker::key_of(unsigned sign) const {
  return BucketObjects::marker_key(content_) + "-" + id_ + "." + std::to_string(sign);
}

void CopyMarker::put() {
  objects_.bucket().put(key_, host());
  given_ = boot_time();
}

void CopyMarker::wait_for_collections() {
  for (const auto until = boot_time() + longest_wait;;) {
    const auto now = moment_of(objects_, key_);
    if (!now) throw taken_for_dead(objects_);
    std::string running;
    for (const s3::Listed& turn : objects_.bucket().list_objects(collections))
      if (later(turn.modified, CollectionTurn::term) >= *now) running = turn.key;
    if (running.empty()) return;
    if (boot_time() >= until)
      throw Error("region \"" + objects_.region() + "\" is being collected at this moment",
                  "copy again in some minutes; a collection that was killed is ignored ten minutes after it began",
                  {objects_.bucket().url() + "/" + running});
    std::this_thread::sleep_for(std::chrono::seconds(1));
    put();  // it is young, so nobody can have taken it for dead
  }
}

void CopyMarker::renew() {
  const std::lock_guard lock(mutex_);
  if (boot_time() - given_ < between_signs) return;
  // A marker that is written anew could come back after it was buried. So each sign is a new object, and counts when
  // the one before is still there.
  const std::string before = std::exchange(key_, key_of(++sign_));
  put();
  const bool counts = moment_of(objects_, before).has_value();
  objects_.bucket().remove(before);
  if (counts) return;
  objects_.bucket().remove(key_);
  throw taken_for_dead(objects_);
}

bool CopyMarker::is_there() const {
  const std::lock_guard lock(mutex_);
  return moment_of(objects_, key_).has_value();
}

void CopyMarker::require() const {
  if (!is_there()) throw taken_for_dead(objects_);
}

void CopyMarker::end() {
  objects_.bucket().remove(key_);
  std::error_code ignored;
  fs::remove(file_of(objects_, key_), ignored);
  for (const std::string& key : objects_.bucket().list(BucketObjects::marker_key(content_)))
    if (has_died(file_of(objects_, key))) bury(objects_, {key, true, ""});
}

std::vector<SeenMarker> markers_at(const BucketObjects& objects, const Moment& now) {
  std::vector<SeenMarker> out;
  for (const s3::Listed& object : objects.bucket().list_objects(copies)) {
    SeenMarker& seen = out.emplace_back(SeenMarker{object.key, false, ""});
    if (has_died(file_of(objects, object.key)))
      seen.why = "its process is dead";
    else if (later(object.modified, CopyMarker::term) < now)
      seen.why = "no sign of its copy for a day";
    seen.dead = !seen.why.empty();
  }
  return out;
}

void bury(const BucketObjects& objects, const SeenMarker& marker) {
  objects.bucket().remove(marker.key);
  std::error_code ignored;
  fs::remove(file_of(objects, marker.key), ignored);
}

CollectionTurn::CollectionTurn(const BucketObjects& objects)
    : objects_(objects), key_(collections + random_id()), started_(boot_time()) {
  objects_.bucket().put(key_, host());
  const auto now = moment_of(objects_, key_);
  if (!now) throw Error("the collection of region \"" + objects.region() + "\" was taken for dead", "collect again");
  began_ = *now;
  for (const s3::Listed& other : objects_.bucket().list_objects(collections))
    if (later(other.modified, term) < began_) objects_.bucket().remove(other.key);
}

CollectionTurn::~CollectionTurn() {
  try {
    objects_.bucket().remove(key_);
  } catch (const Error&) {
    // copies ignore it when its term is over
  }
}

}  // namespace kiln

#include "catalog/local_catalog.h"

#include <algorithm>
#include <set>
#include <utility>

#include <kiln/value.h>

#include "catalog/image_reader.h"
#include "catalog/names.h"
#include "catalog/publication.h"
#include "catalog/store.h"
#include "catalog/verify.h"
#include "disk/manifest.h"

namespace kiln {
namespace {

std::optional<RecordedImage> look_up(const Records& records, std::string_view reference) {
  const Reference wanted = parse_reference(reference);
  if (auto found = records.find(wanted.name, wanted.tag)) return found;
  return records.find_id(reference);
}

std::string joined(const std::vector<std::string>& words, const std::string& between = ", ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

/// Names what there is instead of what was asked for.
Error not_there(const Records& records, std::string_view reference) {
  const Reference wanted = parse_reference(reference);
  std::vector<std::string> names, tags;
  for (const RecordedImage& entry : records.list()) {
    if (names.empty() || names.back() != entry.image.name) names.push_back(entry.image.name);
    if (entry.image.name != wanted.name) continue;
    tags.push_back(entry.image.version);
    tags.insert(tags.end(), entry.channels.begin(), entry.channels.end());
  }
  const bool name_is_known = !tags.empty();
  const std::string what = name_is_known
                               ? "image \"" + wanted.name + "\" has no version or channel \"" + wanted.tag + "\""
                               : "there is no image \"" + wanted.name + "\"";
  if (const auto near = nearest(name_is_known ? wanted.tag : wanted.name, name_is_known ? tags : names))
    return invalid(what, "did you mean \"" + (name_is_known ? wanted.name + ":" + *near : *near) + "\"?");
  if (name_is_known && tags.size() <= 10) return invalid(what, "it has: " + joined(tags));
  return invalid(what, "see which images there are: kiln image list");
}

Error gone(const Image& image) {
  return Error("image " + image.name + ":" + image.version + " is not in the catalog any longer",
               "see which images there are: kiln image list");
}

}  // namespace

LocalCatalog::LocalCatalog(std::filesystem::path folder) : store_(std::make_shared<Store>(std::move(folder))) {}

LocalCatalog::~LocalCatalog() = default;

const std::filesystem::path& LocalCatalog::folder() const noexcept {
  return store_->paths.root;
}

std::unique_ptr<ImageSink> LocalCatalog::publish(const ImageDraft& draft) {
  require_name("image name", draft.name);
  if (!draft.version.empty()) require_name("image version", draft.version);
  if (!draft.channel.empty()) require_name("channel", draft.channel);
  // Asked again when it is recorded; asked now, because the answer is worth most before the work.
  if (!draft.version.empty() && store_->records.has_version(draft.name, draft.version))
    throw version_exists(draft.name, draft.version);
  store_->sweep_leftovers();
  return std::make_unique<Publication>(store_, draft);
}

std::optional<Image> LocalCatalog::find(std::string_view reference) const {
  auto found = look_up(store_->records, reference);
  if (!found) return std::nullopt;
  return std::move(found->image);
}

std::shared_ptr<const BlockReader> LocalCatalog::open(const Image& image) const {
  const FileLock keep = store_->keep_files();
  if (!store_->records.has_disk(image.content)) throw gone(image);
  return std::make_shared<const ImageReader>(Manifest::open(store_->paths.manifest(image.content)),
                                             ChunkIndex(store_->open_packs(store_->records.packs_of(image.content))));
}

Manifest LocalCatalog::manifest(const Image& image) const {
  const FileLock keep = store_->keep_files();
  if (!store_->records.has_disk(image.content)) throw gone(image);
  return Manifest::open(store_->paths.manifest(image.content));
}

std::vector<ImageEntry> LocalCatalog::list() const {
  std::vector<ImageEntry> out;
  for (RecordedImage& entry : store_->records.list())
    out.push_back({std::move(entry.image), std::move(entry.channels)});
  return out;
}

ImageEntry LocalCatalog::show(std::string_view reference) const {
  auto found = look_up(store_->records, reference);
  if (!found) throw not_there(store_->records, reference);
  return {std::move(found->image), std::move(found->channels)};
}

Removal LocalCatalog::remove(std::string_view reference, const InUse& in_use) {
  Removal removal;
  removal.image = show(reference).image;
  const Image& image = removal.image;
  if (const auto users = in_use ? in_use(image) : std::vector<std::string>{}; !users.empty())
    throw refused("image " + image.name + ":" + image.version + " is in use by " +
                      (users.size() == 1 ? "instance " : "instances ") + joined(users),
                  "remove " + std::string(users.size() == 1 ? "it" : "them") + " first: kiln rm " + joined(users, " "));
  store_->records.remove(image.id);
  const Store::Swept swept = store_->sweep();
  if (!swept.done) store_->ask_for_sweep();
  removal.postponed = !swept.done;
  removal.packs_removed = swept.packs;
  removal.bytes_freed = swept.bytes;
  return removal;
}

VerifyReport LocalCatalog::verify(std::optional<std::string_view> reference, const VerifyOptions& options) const {
  std::optional<Image> only;
  if (reference) only = show(*reference).image;
  return verify_store(*store_, only, options);
}

StoreStatistics LocalCatalog::statistics() const {
  StoreStatistics out;
  std::map<Digest, std::uint64_t> data;
  for (const DiskRecord& disk : store_->records.disks()) data[disk.content] = disk.data_chunks * chunk_size;
  out.disks = data.size();
  for (const RecordedImage& entry : store_->records.list()) {
    ++out.images;
    out.content_bytes += data[entry.image.content];
  }
  for (const PackRecord& pack : store_->records.packs()) {
    ++out.packs;
    out.chunks += pack.chunks;
    out.stored_bytes += pack.bytes;
  }
  return out;
}

}  // namespace kiln

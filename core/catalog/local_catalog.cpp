#include "catalog/local_catalog.h"

#include <algorithm>
#include <map>
#include <utility>

#include <kiln/value.h>

#include "catalog/image_parts.h"
#include "catalog/image_reader.h"
#include "catalog/life.h"
#include "catalog/names.h"
#include "catalog/publication.h"
#include "catalog/store.h"
#include "catalog/stored_disk.h"
#include "catalog/stored_part.h"
#include "catalog/verify.h"
#include "disk/manifest.h"

namespace kiln {
namespace {

Error gone(const Image& image) {
  return Error("image " + image.name + ":" + image.version + " is not in the catalog any longer",
               "see which images there are: kiln image list");
}

}  // namespace

LocalCatalog::LocalCatalog(std::filesystem::path folder, Account account, const std::string& database,
                           CatalogChoices choices)
    : store_(std::make_shared<Store>(std::move(folder), database)),
      account_(std::move(account)),
      choices_(std::move(choices)) {}

LocalCatalog::~LocalCatalog() = default;

const std::filesystem::path& LocalCatalog::folder() const noexcept {
  return store_->paths.root;
}

std::unique_ptr<ImageSink> LocalCatalog::publish(const ImageDraft& draft) {
  require_name("image name", draft.name);
  if (!draft.version.empty()) require_name("image version", draft.version);
  if (!draft.channel.empty()) require_name("channel", draft.channel);
  // Asked again when it is recorded; asked now, because the answer is worth most before the work.
  store_->images.require_own_words({home_region, account_.name, draft.name, draft.channel}, draft.version);
  auto signing_key = choices_.signing_key ? choices_.signing_key() : nullptr;
  store_->sweep_leftovers();
  return std::make_unique<Publication>(store_, draft, account_.name, std::move(signing_key));
}

std::shared_ptr<const BlockReader> StoredPart::open() const {
  const FileLock keep = store_->keep_files();
  const auto packs = store_->records.packs_of(content());
  if (!packs) throw Error("a part of an image is no longer in the store", "run again");
  StoredDisk disk = open_disk(*store_, content(), *packs);
  return std::make_shared<const ImageReader>(std::move(disk.manifest), std::move(disk.index));
}

std::unique_ptr<PartSink> LocalCatalog::store(std::uint64_t virtual_size) {
  store_->sweep_leftovers();
  return std::make_unique<StoredPart>(store_, virtual_size, account_.name);
}

std::optional<Image> LocalCatalog::find(std::string_view reference) const {
  auto found = view().find(reference);
  // For a stage an image in the trash is gone: what made it has to make it again.
  if (!found || !found->is_there()) return std::nullopt;
  return std::move(found->image);
}

Image LocalCatalog::opened(const Image& image) const {
  auto entry = view().find_id(image.id);
  if (!entry) throw gone(image);
  require(Action::build, view().standing(*entry), *entry);
  (void)admit(*entry);
  return std::move(entry->image);
}

std::shared_ptr<const BlockReader> LocalCatalog::open(const Image& image) const {
  return read(opened(image));
}

std::shared_ptr<const BlockReader> LocalCatalog::open(const Image& image, const ImagePart& part) const {
  const Image now = opened(image);
  return read(disk_of(now, part_named(now, part.name)));
}

std::vector<std::string> LocalCatalog::admit(const ImageEntry& entry) const {
  return choices_.admit ? choices_.admit(view(), entry) : std::vector<std::string>{};
}

std::vector<std::string> LocalCatalog::warnings(const Image& image) const {
  const auto entry = view().find_id(image.id);
  if (!entry) return {};
  std::vector<std::string> out = admit(*entry);
  if (!entry->image.parts.empty())
    out.push_back("image " + entry->reference() +
                  " has parts beside its system disk; what is built from it has none of them");
  return out;
}

void LocalCatalog::require_hand_over(const std::string& image_id, const std::optional<Digest>& content,
                                     Action action) const {
  // Not as this account sees it: a share may have ended since the disk was taken.
  std::vector<ImageEntry> all = store_->images.list();
  inherit_revocations(all);
  const auto entry = std::ranges::find(all, image_id, [](const ImageEntry& e) { return e.image.id; });
  if (entry == all.end() || (content && !has_content(entry->image, *content))) return;
  require(action, view().standing(*entry), *entry);
}

std::shared_ptr<const BlockReader> LocalCatalog::read(const Image& image) const {
  StoredDisk disk = read_stored(image);
  return std::make_shared<const ImageReader>(std::move(disk.manifest), std::move(disk.index));
}

StoredDisk LocalCatalog::read_stored(const Image& image) const {
  const FileLock keep = store_->keep_files();
  const auto packs = store_->records.packs_of(image.content);
  if (!packs) throw gone(image);
  return open_disk(*store_, image.content, *packs);
}

Manifest LocalCatalog::manifest(const Image& image) const {
  const FileLock keep = store_->keep_files();
  if (!store_->records.has_disk(image.content)) throw gone(image);
  return open_manifest(*store_, image.content);
}

Removal LocalCatalog::remove(std::string_view reference, const Users& users) {
  Removal removal;
  // What is asked here may be another matter a moment later, when somebody has shared the image, or brought it back:
  // the records look once more, and then it is asked again.
  for (bool removed = false; !removed;) {
    const ImageEntry entry =
        view().resolve(removal.image.id.empty() ? reference : std::string_view(removal.image.id), Action::see);
    removal.image = entry.image;
    const bool dead = entry.state() == ImageState::trashed || entry.state() == ImageState::failed;
    require(dead ? Action::purge : Action::trash, view().standing(entry), entry);
    if (!dead) Life(view()).require_free(entry, users);
    removed = store_->images.remove(entry.image.id, dead ? ImageRecords::Remove::dead : ImageRecords::Remove::alive);
  }
  const Collected collected = kiln::collect(*store_);
  removal.postponed = collected.postponed;
  removal.packs_removed = collected.packs;
  removal.bytes_freed = collected.bytes;
  return removal;
}

std::size_t LocalCatalog::forget_home(const std::string& home) {
  if (!account_.is_operator)
    throw refused("only the catalog's operator may forget a home", "ask the catalog's operator to do it");
  const std::size_t count = store_->uses.forget(home);
  if (count == 0)
    throw invalid("no instance of the home \"" + home + "\" is on record",
                  "the refusal to remove an image names its home, such as host7:/var/lib/kiln#1a2b3c4d");
  return count;
}

Collected LocalCatalog::collect(const CollectOptions& options) {
  if (!account_.is_operator)
    throw refused("only the catalog's operator may collect", "remove images of your own: kiln image rm IMAGE --now");
  return kiln::collect(*store_, options);
}

VerifyReport LocalCatalog::verify(std::optional<std::string_view> reference, const VerifyOptions& options) const {
  std::optional<Image> only;
  if (!reference && !account_.is_operator)
    throw refused("only the catalog's operator may verify the whole store", "name an image: kiln image verify IMAGE");
  if (reference) only = show(*reference, Action::verify).image;
  VerifyReport report = verify_store(*store_, only, options);
  // A chunk may be shared with images that this account must not hear of, of the very same name perhaps.
  std::map<std::string, std::string> seen;
  for (const ImageEntry& entry : list())
    seen[entry.image.id] = (entry.owner == account_.name ? "" : entry.owner + "/") + entry.reference();
  const auto name = [&](std::vector<std::string>& images) {
    std::erase_if(images, [&](const std::string& id) { return !seen.contains(id); });
    for (std::string& image : images) image = seen[image];
    std::ranges::sort(images);
  };
  for (DamagedChunk& chunk : report.damaged) {
    name(chunk.images);
    name(chunk.keepers);
  }
  return report;
}

StoreStatistics LocalCatalog::statistics() const {
  StoreStatistics out;
  std::map<Digest, std::uint64_t> data;
  for (const DiskRecord& disk : store_->records.disks()) data[disk.content] = disk.data_chunks * chunk_size;
  out.disks = data.size();
  for (const ImageEntry& entry : store_->images.list()) {
    ++out.images;
    for (const Digest& content : contents_of(entry.image)) out.content_bytes += data[content];
  }
  for (const PackRecord& pack : store_->records.packs()) {
    ++out.packs;
    out.chunks += pack.chunks;
    out.stored_bytes += pack.bytes;
  }
  return out;
}

}  // namespace kiln

#include "catalog/region/folder_region.h"

#include <stdexcept>
#include <tuple>
#include <utility>

#include "catalog/publication.h"
#include "catalog/store.h"
#include "catalog/stored_part.h"

namespace kiln {
namespace {

/// A part, stored in the other catalog until the image names it.
class FolderPart final : public RegionSink {
 public:
  FolderPart(std::shared_ptr<StoredPart> part, ImagePart what, Publication& image)
      : part_(std::move(part)), what_(std::move(what)), image_(image) {}

  std::unique_ptr<RegionSink> part(const ImagePart&, const Manifest&) override {
    throw std::logic_error("a part has no parts");
  }
  bool knows(const Digest& digest) const override { return part_->knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return part_->encode(std::move(batch));
  }
  void append(Encoded& encoded) override { part_->append(encoded); }
  void store(Encoded& encoded) override { part_->store(encoded); }
  void finish() override {
    part_->finish();
    what_.content = part_->content();
    image_.add_part({what_, part_->lease(), part_->stored_bytes()});
    image_.disk().count_on_what_is_here();  // disks of one image often have the same chunks
  }
  void resume(const Manifest& manifest, const std::stop_token& stop) override { part_->disk().resume(manifest, stop); }
  void leave() noexcept override { part_->disk().leave(); }

  std::uint64_t moved_chunks() const override { return part_->new_chunks() - resumed_chunks(); }
  std::uint64_t moved_bytes() const override { return part_->stored_bytes() - resumed_bytes(); }
  std::uint64_t resumed_chunks() const override { return part_->disk().resumed_chunks(); }
  std::uint64_t resumed_bytes() const override { return part_->disk().resumed_bytes(); }

 private:
  std::shared_ptr<StoredPart> part_;
  ImagePart what_;
  Publication& image_;
};

/// A publication in the other catalog: its order of writes, its locks and its limits are a copy's, too.
class FolderSink final : public RegionSink {
 public:
  FolderSink(std::shared_ptr<Store> store, const ImageEntry& copy, std::uint64_t size, const std::string& channel)
      : store_(std::move(store)), publication_(store_, draft_of(copy, size, channel), copy.owner), owner_(copy.owner) {
    publication_.take_over(copy);
  }

  std::unique_ptr<RegionSink> part(const ImagePart& part, const Manifest& manifest) override {
    parts_.push_back(std::make_shared<StoredPart>(store_, manifest.disk_size(), owner_));
    ImagePart what = part;
    what.virtual_size = manifest.disk_size();
    return std::make_unique<FolderPart>(parts_.back(), std::move(what), publication_);
  }

  bool knows(const Digest& digest) const override { return publication_.knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return publication_.encode(std::move(batch));
  }
  void append(Encoded& encoded) override { publication_.append(encoded); }
  void store(Encoded& encoded) override { publication_.store(encoded); }
  void finish() override { publication_.finish(); }
  void failed(const std::string& why) noexcept override { publication_.failed(why); }
  void resume(const Manifest& manifest, const std::stop_token& stop) override {
    publication_.disk().resume(manifest, stop);
  }
  void leave() noexcept override { publication_.disk().leave(); }

  std::uint64_t moved_chunks() const override { return publication_.new_chunks() - resumed_chunks(); }
  std::uint64_t moved_bytes() const override { return publication_.disk_bytes() - resumed_bytes(); }
  std::uint64_t resumed_chunks() const override { return publication_.disk().resumed_chunks(); }
  std::uint64_t resumed_bytes() const override { return publication_.disk().resumed_bytes(); }

 private:
  /// `size`: what the manifest says, which has a checksum; a record elsewhere may say anything.
  static ImageDraft draft_of(const ImageEntry& copy, std::uint64_t size, const std::string& channel) {
    return {copy.image.name, copy.image.version, channel, size, copy.image.facts};
  }

  std::shared_ptr<Store> store_;
  std::vector<std::shared_ptr<StoredPart>> parts_;  // their leases last until the image is there
  Publication publication_;
  std::string owner_;
};

}  // namespace

std::vector<ImageEntry> FolderRegion::images() const {
  std::vector<ImageEntry> all = catalog_->list();
  for (ImageEntry& entry : all) entry.region = name_;
  return all;
}

ImageEntry FolderRegion::resolve(std::string_view reference, Action action) const {
  ImageEntry entry = catalog_->show(reference, action);
  entry.region = name_;
  return entry;
}

void FolderRegion::read_chunk(const Digest& digest, std::span<std::byte> into) const {
  {
    const std::lock_guard lock(mutex_);
    if (!index_) {
      const Store& store = catalog_->view().store();
      const FileLock keep = store.keep_files();
      std::vector<std::string> ids;
      for (const PackRecord& pack : store.records.packs())
        if (std::filesystem::exists(store.paths.pack(pack.id))) ids.push_back(pack.id);
      index_.emplace(store.open_packs(ids));
    }
  }
  const auto found = index_->find(digest);
  if (found.entry == nullptr)
    throw Error("region \"" + name_ + "\" has no chunk sha256:" + to_hex(digest), "try another region");
  index_->packs()[found.pack]->read(*found.entry, into);
}

std::unique_ptr<RegionSink> FolderRegion::receive(const ImageEntry& copy, const Manifest& manifest,
                                                  const std::string& channel) {
  const auto store = catalog_->view().shared_store();
  store->sweep_leftovers();
  return std::make_unique<FolderSink>(store, copy, manifest.disk_size(), channel);
}

bool FolderRegion::follow(ImageEntry& here, const Lifecycle& original) {
  Lifecycle& life = here.life;
  const auto dates = [](const Lifecycle& l) {
    return std::tie(l.deprecated_at, l.obsolete_at, l.replacement, l.revoked_at, l.reason);
  };
  // What was revoked here stays so: nobody may lift that by copying once more.
  if (dates(life) == dates(original) || (!life.revoked_at.empty() && original.revoked_at.empty())) return false;
  catalog_->view().store().images.change(here.image.id, {.deprecated_at = original.deprecated_at,
                                                         .obsolete_at = original.obsolete_at,
                                                         .replacement = original.replacement,
                                                         .revoked_at = original.revoked_at,
                                                         .reason = original.reason});
  here = resolve(here.image.id, Action::see);
  return true;
}

void FolderRegion::point(const ImageEntry& at, const std::string& channel) {
  // Asked there again: a channel is its owner's to move.
  ImageEntry entry = catalog_->view().resolve(at.image.id, Action::promote);
  catalog_->view().store().images.move_channel(entry, channel, account_.name);
}

}  // namespace kiln

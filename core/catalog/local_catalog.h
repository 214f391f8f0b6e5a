#pragma once
// The catalog of this host: published images, and the bytes they are made of, each distinct chunk once.
//
// A catalog is one folder; docs/store.md describes it. Any number of processes may use one catalog at the same time:
// publishing runs in parallel, records change in transactions, and files of images are only ever removed while nobody
// publishes.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/catalog.h>

#include "catalog/collection.h"
#include "catalog/image_entry.h"
#include "catalog/life.h"
#include "catalog/view.h"

namespace kiln {

class Manifest;
class SigningKey;
class Store;
struct StoredDisk;

/// A chunk whose bytes are no longer what its digest says, and who is harmed by it.
struct DamagedChunk {
  Digest digest;               ///< zero when the damage is not of one chunk but of `file` itself
  std::filesystem::path file;  ///< the pack, or the manifest
  std::uint64_t offset = 0;    ///< of the chunk's record in it
  std::string reason;          ///< "sha256 does not match", "record is truncated", …
  /// "name:version" of every image that reads it and that the account sees, after "owner/" when it is another's.
  std::vector<std::string> images;
  /// The same of every image that keeps `file` in the store: while one is there, publishing finds the damaged chunk
  /// again.
  std::vector<std::string> keepers;
};

struct VerifyOptions {
  std::stop_token stop = {};  ///< once asked for, verify() throws cancelled()
  /// Stored bytes so far and in all; called by one thread at a time.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};

struct VerifyReport {
  std::uint64_t chunks = 0, bytes = 0;  ///< that were read; bytes as they are stored
  std::vector<DamagedChunk> damaged;
};

/// What removing an image did to the store.
struct Removal {
  Image image;
  std::uint64_t packs_removed = 0, bytes_freed = 0;
  /// True when somebody publishes at this moment, who may come to need what became unused: a later collection frees it.
  bool postponed = false;
};

struct StoreStatistics {
  std::uint64_t images = 0, disks = 0, packs = 0, chunks = 0;
  std::uint64_t stored_bytes = 0;   ///< of all packs
  std::uint64_t content_bytes = 0;  ///< of all images' data, each counted in full: what it would take without sharing
};

/// What a user has settled for images beyond what the catalog allows. What is empty is not asked.
struct CatalogChoices {
  /// Asked before somebody's image runs or is built from. Returns what is to be said as warnings, throws refused().
  std::function<std::vector<std::string>(const CatalogView&, const ImageEntry&)> admit = {};
  /// What every image that is published is signed with; asked when a publish begins. Null: nothing.
  std::function<std::shared_ptr<const SigningKey>()> signing_key = {};
};

/// `kiln::Catalog` in a folder. Any function may be called from any thread.
class LocalCatalog final : public Catalog {
 public:
  /// Opens the catalog, makes it when there is none, brings older records up to date, and removes what a publish that
  /// died has left. Throws Error when the folder cannot be used, or was made by a newer kiln.
  /// `account`: as whom it is used. `database`: where the records are, for example "postgresql://…"; empty: in the
  /// folder.
  explicit LocalCatalog(std::filesystem::path folder, Account account = {home_region, true},
                        const std::string& database = {}, CatalogChoices choices = {});
  LocalCatalog(const LocalCatalog&) = delete;
  LocalCatalog& operator=(const LocalCatalog&) = delete;
  ~LocalCatalog();

  /// Throws invalid() for a bad name, version or channel, and for a version that exists.
  std::unique_ptr<ImageSink> publish(const ImageDraft&) override;
  std::unique_ptr<PartSink> store(std::uint64_t virtual_size) override;
  /// As CatalogView::find(); what failed, is being made or is in the trash is not found.
  std::optional<Image> find(std::string_view reference) const override;
  /// To build from it. A damaged chunk is an Error that names chunk, pack and offset.
  std::shared_ptr<const BlockReader> open(const Image&) const override;
  std::shared_ptr<const BlockReader> open(const Image&, const ImagePart&) const override;
  /// The warnings of admit(), for stages.
  std::vector<std::string> warnings(const Image&) const override;
  /// The place where the launch policy is asked: before an image is launched or built from, after show() has allowed
  /// it. Returns warnings; throws refused().
  std::vector<std::string> admit(const ImageEntry&) const;

  /// Before a disk that was built from an image leaves the account's pipeline in some way: throws refused() when it
  /// still is that image, to the byte, and the image may not be used in this way. `content`: of the disk; nothing: it
  /// was not changed.
  void require_hand_over(const std::string& image_id, const std::optional<Digest>& content, Action) const;

  /// As this catalog's account sees it: what life.h, labels.h and sharing.h work on.
  CatalogView view() const { return {store_, account_}; }
  /// By owner and name, the newest version first.
  std::vector<ImageEntry> list() const { return view().images(); }
  /// The image for that action; see CatalogView::resolve().
  ImageEntry show(std::string_view reference, Action action = Action::see) const {
    return view().resolve(reference, action);
  }
  /// The bytes of an image that show() has given; of one of its parts: read(disk_of(image, part)), and likewise below.
  /// Reads verify every chunk's digest.
  std::shared_ptr<const BlockReader> read(const Image&) const;
  /// The same, for whoever wants the chunks as they are stored.
  StoredDisk read_stored(const Image&) const;
  /// The digests of an image's chunks, to compare or to publish again without reading. Lives as long as it is held,
  /// even when the image is removed meanwhile.
  Manifest manifest(const Image&) const;

  /// For good, from the trash or at once: the record, then the packs that no image needs any longer. Throws refused()
  /// when it is in use, shared or protected. `users`: as Life::trash() takes them.
  Removal remove(std::string_view reference, const Users& users = {});

  /// For the operator; refused() for others. See collection.h.
  Collected collect(const CollectOptions& = {});
  /// The instances of a home that is gone for good no longer keep their images. For the operator; refused() for others,
  /// invalid() when none is on record. `home`: as Life::users_on_record() names it. Returns how many they were.
  std::size_t forget_home(const std::string& home);

  /// Reads again every chunk of one image, or, for the operator, of the whole store, on all cores.
  VerifyReport verify(std::optional<std::string_view> reference = {}, const VerifyOptions& = {}) const;
  StoreStatistics statistics() const;

  const std::filesystem::path& folder() const noexcept;

 private:
  /// As it is now, when it may be built from. Throws refused(); Error when it is gone.
  Image opened(const Image&) const;

  std::shared_ptr<Store> store_;  // shared with the sinks
  Account account_;
  CatalogChoices choices_;
};

}  // namespace kiln

#pragma once
// What is recorded of images. Knows no rules: who may do what stands in authority.h, and is asked before.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/database.h"
#include "catalog/image_entry.h"
#include "catalog/signing_key.h"
#include "catalog/store_records.h"

namespace kiln {

/// Everything that one publish adds, in one transaction.
struct NewImage {
  Image image;  ///< without version: the next of today
  std::string region, owner;
  std::string channel;
  std::vector<std::string> parents;  ///< ids
  DiskRecord disk;
  bool files = false;              ///< manifest and pack are in place
  std::optional<PackRecord> pack;  ///< written by this publish
  std::vector<std::string> packs;  ///< ids of all packs that the disk's chunks are in, the new one included
  std::string lease;               ///< under which it was stored; ends with the transaction
  /// The disk may be on record, in packs that are damaged: it is read from `packs` from now on.
  bool replaces_packs = false;
  /// It is a copy of this one, whose labels, dates and signatures it keeps; not its channels, shares, protection and
  /// visibility.
  std::optional<ImageEntry> original = {};
  std::shared_ptr<const SigningKey> signing_key = {};  ///< that signs the image as it is recorded; null: nobody does
};

/// How much of each image is read.
enum class Detail {
  all,
  line,  ///< what a line of a list shows: no facts, properties, signatures, texts; parents only when one is revoked
};

/// Which images. What is empty does not count.
struct ImageQuery {
  std::string id = {}, region = {}, owner = {}, name = {}, version = {};
  Digest content = {};  ///< zero: any
  Detail detail = Detail::all;
  bool any_content() const { return content.is_zero_chunk(); }
};

/// What is set is written.
struct ImageChange {
  std::optional<std::string> description = {}, deprecated_at = {}, obsolete_at = {}, replacement = {}, revoked_at = {},
                             reason = {}, trashed_at = {}, purge_at = {};
  std::optional<bool> is_public = {}, is_protected = {};
};

/// Where a channel pointed.
struct ChannelMove {
  std::string image, version;  ///< empty: the channel was removed
  std::string actor;
  Moment moment;
};

/// A function is one transaction. Any thread.
class ImageRecords {
 public:
  explicit ImageRecords(Database& db) : db_(db) {}

  /// Returns the image as it is recorded. When the content is on record already, `pack` is left out, and `stored_bytes`
  /// is 0. Nothing, and nothing is recorded, when it is not and `files` says that the caller has put none in place.
  std::optional<Image> add(const NewImage&);
  bool has_version(const std::string& region, const std::string& owner, const std::string& name,
                   const std::string& version) const;

  /// By owner and name, the newest first.
  std::vector<ImageEntry> list(const ImageQuery& = {}) const;
  void change(const std::string& id, const ImageChange&);
  /// Unless it is protected, or shared and not rejected: then false, and nothing changes.
  bool trash(const std::string& id, const Moment& now, const Moment& purge_at);
  void set_tag(const std::string& id, const std::string& tag, bool present);
  /// Nothing: the property is removed.
  void set_property(const std::string& id, const std::string& name, const std::optional<std::string>& value);
  /// For good, with shares, tags and channels.
  void remove(const std::string& id);
  /// The same for all whose term in the trash is over. Returns their references.
  std::vector<std::string> purge_expired(const Moment& now);

  /// The image that a channel points at, by id.
  std::optional<std::string> channel(const std::string& region, const std::string& owner, const std::string& name,
                                     const std::string& channel) const;
  /// Points the channel at an image, in one step; nothing: removes it. Written down in its history.
  void move_channel(const ImageEntry& of, const std::string& channel, const std::optional<ImageEntry>& to,
                    const std::string& actor);
  /// The newest first.
  std::vector<ChannelMove> history(const std::string& region, const std::string& owner, const std::string& name,
                                   const std::string& channel) const;
  /// (image, parent), by id: the graph.
  std::vector<std::pair<std::string, std::string>> ancestry() const;

 private:
  Database& db_;
};

/// As they are recorded. They come from guests and vendors' files, too: what is no UTF-8 is replaced, not refused.
std::string facts_text(const Facts&);
/// Inside the caller's transaction: the images whose term in the trash is over go, each at the moment of its end.
/// Returns their references.
std::vector<std::string> remove_expired_images(soci::session&, const Moment& now);

}  // namespace kiln

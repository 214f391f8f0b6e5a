#pragma once
// What is recorded of images. Knows no rules: who may do what stands in authority.h, and is asked before.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/channel_rows.h"
#include "catalog/database.h"
#include "catalog/image_entry.h"
#include "catalog/signing_key.h"
#include "catalog/store_records.h"

namespace kiln {

/// What keeps a part until its image is on record.
struct PartLease {
  std::string id;
  Digest content;
  std::uint64_t stored_bytes = 0;  ///< that it added, which the image counts
};

/// Everything that one publish adds, in one transaction.
struct NewImage {
  Image image;  ///< without version: the next of today; its stored_bytes are those of its parts
  std::string region, owner;
  std::string channel;
  std::vector<std::string> parents;    ///< ids
  NewDisk disk;                        ///< the system disk; its lease ends with the transaction
  std::vector<PartLease> part_leases;  ///< those that keep the parts' contents; they end with it, too
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
  Digest content = {};  ///< of the system disk or a part; zero: any
  Detail detail = Detail::all;
  bool any_content() const { return content.is_zero_chunk(); }
};

/// What is set is written.
struct ImageChange {
  std::optional<std::string> description = {}, deprecated_at = {}, obsolete_at = {}, replacement = {}, revoked_at = {},
                             reason = {}, trashed_at = {}, purge_at = {};
  std::optional<bool> is_public = {}, is_protected = {};
  std::map<std::string, bool> tags = {};                              ///< whether each is to be there
  std::map<std::string, std::optional<std::string>> properties = {};  ///< nothing: removed
};

/// What is to be changed of an image as it is now, a revocation that it inherits included. Called inside the
/// transaction: it may throw, and asks the records nothing.
using ImageDecision = std::function<ImageChange(const ImageEntry& now)>;

/// A function is one transaction. Any thread.
class ImageRecords {
 public:
  explicit ImageRecords(Database& db) : db_(db) {}

  /// Returns the image as it is recorded; what record_disk() returned is added to its stored_bytes. Nothing, and
  /// nothing is recorded, when that returned nothing.
  std::optional<Image> add(const NewImage&);
  /// As channel_rows.h has it.
  void require_own_words(const ChannelName&, const std::string& version) const;

  /// By owner and name, the newest first.
  std::vector<ImageEntry> list(const ImageQuery& = {}) const;
  void change(const std::string& id, const ImageChange&);
  /// The same, but nothing happens between the look and the change. False when the image is gone.
  bool change(const std::string& id, const ImageDecision&);
  /// Unless it is in the trash already, protected, public, shared and not rejected, an instance runs from it, or a
  /// channel points at it: then false, and nothing changes.
  bool trash(const std::string& id, const Moment& now, const Moment& purge_at);
  /// Those of the images that trash() takes and that no image that is there was built from, in one transaction. Returns
  /// which.
  std::vector<std::string> trash_unneeded(const std::vector<std::string>& ids, const Moment& now,
                                          const Moment& purge_at);
  /// For good, with shares and tags. False, and nothing changes, when it is not in that state, or when it is alive and
  /// trash() would not take it.
  enum class Remove { alive, dead };  ///< dead: in the trash, or failed
  bool remove(const std::string& id, Remove);
  /// The same for all whose term in the trash is over. Returns their references.
  std::vector<std::string> purge_expired(const Moment& now);

  /// Points a channel of the image's name at it, unless `check`, which sees it as it is then, throws. Written down in
  /// the channel's history. Throws invalid() when the image is gone, or a version has the channel's name.
  using Check = std::function<void(const ImageEntry& now)>;
  void move_channel(const ImageEntry& to, const std::string& channel, const std::string& actor,
                    const Check& check = {});
  /// Points the channel back to the last image before that `is_of_use`, and returns its id; nothing, and nothing
  /// changes, when there is none.
  using IsOfUse = std::function<bool(const ImageEntry& now)>;
  std::optional<std::string> roll_back(const ChannelName&, const std::string& actor, const IsOfUse& is_of_use);
  /// False when it points nowhere.
  bool remove_channel(const ChannelName&, const std::string& actor);
  /// The newest first.
  std::vector<ChannelMove> history(const ChannelName&) const;
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

#pragma once
// What is recorded for metering: every change of what an account keeps in the store, in the very transaction that makes
// it; and, once those changes are settled (usage_meter.h), samples: a step function of bytes by owner and region.

#include <cstdint>
#include <string>
#include <vector>

#include <kiln/digest.h>

#include "catalog/database.h"
#include "catalog/lifecycle.h"

namespace kiln {

/// A disk of an image that came or went.
struct StoredChange {
  std::int64_t sequence = 0;  ///< ascending; moments ascend with it
  Moment moment;
  std::string region, owner;
  Digest content;
  std::uint64_t virtual_size = 0;
  bool added = false;
  bool is_part = false;  ///< not the system disk, by which images are counted
};

/// How many images an owner has of which a content is the system disk, or of which it is a part.
struct Holding {
  std::string region, owner;
  Digest content;
  std::uint64_t virtual_size = 0;
  std::int64_t images = 0;
  bool is_part = false;
};

/// Holds from its moment on, until the next one of the same owner and region.
struct UsageSample {
  Moment moment;
  std::string region, owner;
  std::uint64_t unique = 0;   ///< stored bytes that no other owner has
  std::uint64_t common = 0;   ///< the owner's share of those that others have, too
  std::uint64_t logical = 0;  ///< sizes of the disks as guests see them
  std::uint64_t images = 0;
};

/// A function is one transaction. Any thread.
class UsageRecords {
 public:
  explicit UsageRecords(Database& db) : db_(db) {}

  struct Pending {
    std::int64_t settled = 0;           ///< the last change that was settled before
    std::vector<StoredChange> changes;  ///< those that are not settled, in order
    std::vector<Holding> holdings;      ///< after all of them
    std::vector<UsageSample> last;      ///< the newest sample of each owner and region
  };
  /// Removes images whose term in the trash is over first, so that their end is among the changes.
  Pending pending(const Moment& now);
  /// Takes the samples of all changes of `of`. False, and nothing happens, when somebody else has settled meanwhile.
  bool settle(const Pending& of, const std::vector<UsageSample>&);

  /// By moment: those before `to`, and of those before `from` only the newest of each owner and region.
  std::vector<UsageSample> samples(const Moment& from, const Moment& to) const;

 private:
  Database& db_;
};

/// Inside the caller's transaction: an image comes, or is about to go. A moment before that of an earlier change
/// becomes that one: clocks may be set back.
void record_change(soci::session&, const std::string& image, const Moment&, bool added);

}  // namespace kiln

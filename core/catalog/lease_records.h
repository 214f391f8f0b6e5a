#pragma once
// What is recorded of leases and quotas: who counts on files that no image names yet, and how much an owner may store.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <kiln/digest.h>
#include <kiln/error.h>

#include "catalog/database.h"
#include "catalog/image_rows.h"
#include "catalog/lifecycle.h"

namespace kiln {

struct LeaseRecord {
  std::string id;  ///< 32 hexadecimal digits; files in staging/ begin with it
  std::string region, owner, host;
  Moment created, expires;
  std::uint64_t reserved = 0;  ///< bytes of the owner's quota
  bool is_part = false;        ///< of an image, for which there is another lease or will be
};

/// How much an owner may store, and how much is.
struct Quota {
  std::string region, owner;
  std::optional<std::uint64_t> max_images, max_bytes;  ///< nothing: as much as one likes
  /// Never less than what the owner's images are: exact after settle(), and with `reserved` what the limit is held
  /// against.
  std::uint64_t used_bytes = 0, reserved_bytes = 0;
  std::uint64_t images = 0;   ///< that there are, and that are being made
  std::uint64_t changes = 0;  ///< of the owner's images so far
  bool settled = false;       ///< used_bytes is exact
};

/// A function is one transaction. Any thread.
class LeaseRecords {
 public:
  explicit LeaseRecords(Database& db) : db_(db) {}

  /// Throws refused() when the owner may have no further image. `making`: the image that it is for, if it is for one.
  void begin(const LeaseRecord&, const std::optional<ImageRow>& making = {});
  /// False when the lease is gone.
  bool renew(const std::string& id, const Moment& expires);
  bool is_there(const std::string& id) const;
  /// Counts `bytes` in all against the owner's quota. Throws refused() when that is too much; the bytes that were
  /// reserved before stay. False when the lease is gone.
  bool reserve(const std::string& id, std::uint64_t bytes);
  /// What it was for is forgotten; or, when `why` says what kept it from being made, stays as one that failed.
  void end(const std::string& id, const std::string& why = {});
  std::vector<LeaseRecord> list() const;

  std::optional<Quota> quota(const std::string& region, const std::string& owner) const;
  std::vector<Quota> quotas(const std::string& region) const;
  /// Two times nothing: the owner has no quota any longer.
  void set_quota(const std::string& region, const std::string& owner, std::optional<std::uint64_t> max_images,
                 std::optional<std::uint64_t> max_bytes);
  /// What was counted while the owner's images were as `counted` found them. False when they changed meanwhile.
  bool settle(const Quota& counted, std::uint64_t used_bytes);

 private:
  Database& db_;
};

/// Inside a transaction: whether there is such a lease.
bool is_held(soci::session&, const std::string& id);
/// Inside the transaction that records an image: ends the lease, and turns what it reserved into what is used. Throws
/// Error when the lease is gone: the collection may have taken what was counted on.
void redeem_lease(soci::session&, const std::string& id);
/// Inside the transaction that records a disk which no image names yet: the lease keeps it. Throws as redeem_lease().
void let_lease_keep(soci::session&, const std::string& id, const Digest& content);
/// Inside a transaction that changed what an owner has.
void unsettle_quota(soci::session&, const std::string& region, const std::string& owner);

/// Inside a transaction: ends the lease of one who died.
void end_dead_lease(soci::session&, const std::string& id, const Moment& now);

Error lease_is_gone();

}  // namespace kiln

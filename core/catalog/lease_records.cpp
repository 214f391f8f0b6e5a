#include "catalog/lease_records.h"

#include <soci/soci.h>

#include <kiln/value.h>

namespace kiln {
namespace {

using soci::into;
using soci::use;

constexpr long long no_limit = -1;

/// Of rows with these columns.
const std::string quota_columns =
    "SELECT q.region, q.owner, q.max_images, q.max_bytes, q.used_bytes, q.changes, q.settled_at,"
    " (SELECT COALESCE(SUM(l.reserved), 0) FROM leases l WHERE l.region = q.region AND l.owner = q.owner),"
    " (SELECT COUNT(*) FROM leases l WHERE l.region = q.region AND l.owner = q.owner AND l.is_part = 0),"
    " (SELECT COUNT(*) FROM images i WHERE i.region = q.region AND i.owner = q.owner AND i.state = 'available') FROM "
    "quotas q ";

std::optional<std::uint64_t> limit_of(long long value) {
  if (value == no_limit) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

std::vector<Quota> select_quotas(soci::session& sql, const std::string& region, const std::string& owner) {
  std::vector<Quota> out;
  Quota row;
  long long max_images = 0, max_bytes = 0, used = 0, changes = 0, settled_at = 0, reserved = 0, leases = 0, images = 0;
  soci::statement query =
      (sql.prepare << quota_columns + "WHERE q.region = :r AND (q.owner = :o OR :p = '') ORDER BY q.owner", use(region),
       use(owner), use(owner), into(row.region), into(row.owner), into(max_images), into(max_bytes), into(used),
       into(changes), into(settled_at), into(reserved), into(leases), into(images));
  query.execute();
  while (query.fetch()) {
    row.max_images = limit_of(max_images);
    row.max_bytes = limit_of(max_bytes);
    row.used_bytes = static_cast<std::uint64_t>(used);
    row.reserved_bytes = static_cast<std::uint64_t>(reserved);
    row.images = static_cast<std::uint64_t>(images + leases);
    row.changes = static_cast<std::uint64_t>(changes);
    row.settled = changes == settled_at;
    out.push_back(row);
  }
  return out;
}

std::optional<Quota> select_quota(soci::session& sql, const std::string& region, const std::string& owner) {
  auto found = select_quotas(sql, region, owner);
  if (owner.empty() || found.empty()) return std::nullopt;
  return std::move(found.front());
}

/// Of all packs that the owner's images are read from: at least what they need.
long long bytes_of_packs(soci::session& sql, const std::string& region, const std::string& owner) {
  long long bytes = 0;
  sql << "SELECT COALESCE(SUM(p.bytes), 0) FROM packs p WHERE p.id IN (SELECT k.pack FROM disk_packs k"
         " JOIN image_disks d ON d.content = k.content JOIN images i ON i.id = d.image"
         " WHERE i.region = :r AND i.owner = :o)",
      use(region), use(owner), into(bytes);
  return bytes;
}

struct Holder {
  std::string region, owner;
  std::uint64_t reserved = 0;
};

std::optional<Holder> holder_of(soci::session& sql, const std::string& id) {
  Holder holder;
  long long reserved = 0;
  sql << "SELECT region, owner, reserved FROM leases WHERE id = :i", use(id), into(holder.region), into(holder.owner),
      into(reserved);
  if (!sql.got_data()) return std::nullopt;
  holder.reserved = static_cast<std::uint64_t>(reserved);
  return holder;
}

void require_room(const Quota& quota, std::uint64_t more) {
  const std::uint64_t taken = quota.used_bytes + quota.reserved_bytes;
  if (!quota.max_bytes || taken + more <= *quota.max_bytes) return;
  throw refused("the quota of account " + quota.owner + " is " + format_bytes(*quota.max_bytes) + ": " +
                    format_bytes(taken) + " are taken, and at least " + format_bytes(more) + " more would be needed",
                "remove images for good (kiln image rm --now), or ask the catalog's operator for more");
}

}  // namespace

Error lease_is_gone() {
  return Error("this was stopped for so long that its lease ended, and the collection may have taken what it stored",
               "run it again; nothing of it is visible");
}

void LeaseRecords::begin(const LeaseRecord& lease, const std::optional<ImageRow>& making) {
  db_.write([&](soci::session& sql) {
    if (const auto quota = select_quota(sql, lease.region, lease.owner);
        !lease.is_part && quota && quota->max_images && quota->images >= *quota->max_images)
      throw refused("account " + lease.owner + " may have " + std::to_string(*quota->max_images) + " images, and has " +
                        std::to_string(quota->images),
                    "remove one for good (kiln image rm --now), or ask the catalog's operator for more");
    const auto reserved = static_cast<long long>(lease.reserved);
    const int is_part = lease.is_part ? 1 : 0;
    sql << "INSERT INTO leases (id, region, owner, host, created, expires, reserved, is_part)"
           " VALUES (:i, :r, :o, :h, :c, :e, :b, :p)",
        use(lease.id), use(lease.region), use(lease.owner), use(lease.host), use(lease.created), use(lease.expires),
        use(reserved), use(is_part);
    if (making) begin_making(sql, *making);
  });
}

bool LeaseRecords::renew(const std::string& id, const Moment& expires) {
  return db_.write([&](soci::session& sql) {
    if (!holder_of(sql, id)) return false;
    sql << "UPDATE leases SET expires = :e WHERE id = :i", use(expires), use(id);
    return true;
  });
}

bool LeaseRecords::is_there(const std::string& id) const {
  return db_.read([&](soci::session& sql) { return holder_of(sql, id).has_value(); });
}

bool LeaseRecords::reserve(const std::string& id, std::uint64_t bytes) {
  return db_.write([&](soci::session& sql) {
    const auto holder = holder_of(sql, id);
    if (!holder) return false;
    if (const auto quota = select_quota(sql, holder->region, holder->owner); quota && bytes > holder->reserved)
      require_room(*quota, bytes - holder->reserved);
    const auto value = static_cast<long long>(bytes);
    sql << "UPDATE leases SET reserved = :b WHERE id = :i", use(value), use(id);
    return true;
  });
}

void LeaseRecords::end(const std::string& id, const std::string& why) {
  db_.write([&](soci::session& sql) {
    sql << "DELETE FROM leases WHERE id = :i", use(id);
    if (why.empty())
      (void)end_making(sql, id);
    else
      fail_making(sql, id, why, now_moment());
  });
}

std::vector<LeaseRecord> LeaseRecords::list() const {
  return db_.read([](soci::session& sql) {
    std::vector<LeaseRecord> out;
    LeaseRecord row;
    long long reserved = 0;
    int is_part = 0;
    soci::statement query = (sql.prepare << "SELECT id, region, owner, host, created, expires, reserved, is_part"
                                            " FROM leases ORDER BY created, id",
                             into(row.id), into(row.region), into(row.owner), into(row.host), into(row.created),
                             into(row.expires), into(reserved), into(is_part));
    query.execute();
    while (query.fetch()) {
      row.reserved = static_cast<std::uint64_t>(reserved);
      row.is_part = is_part != 0;
      out.push_back(row);
    }
    return out;
  });
}

std::optional<Quota> LeaseRecords::quota(const std::string& region, const std::string& owner) const {
  return db_.read([&](soci::session& sql) { return select_quota(sql, region, owner); });
}

std::vector<Quota> LeaseRecords::quotas(const std::string& region) const {
  return db_.read([&](soci::session& sql) { return select_quotas(sql, region, ""); });
}

void LeaseRecords::set_quota(const std::string& region, const std::string& owner,
                             std::optional<std::uint64_t> max_images, std::optional<std::uint64_t> max_bytes) {
  db_.write([&](soci::session& sql) {
    if (!max_images && !max_bytes) {
      sql << "DELETE FROM quotas WHERE region = :r AND owner = :o", use(region), use(owner);
      return;
    }
    const long long images = max_images ? static_cast<long long>(*max_images) : no_limit,
                    bytes = max_bytes ? static_cast<long long>(*max_bytes) : no_limit;
    if (select_quota(sql, region, owner)) {
      sql << "UPDATE quotas SET max_images = :i, max_bytes = :b WHERE region = :r AND owner = :o", use(images),
          use(bytes), use(region), use(owner);
      return;
    }
    // Not settled: what the owner has stored so far is still to be counted. Until then it is all of the packs.
    const long long used = bytes_of_packs(sql, region, owner);
    sql << "INSERT INTO quotas (region, owner, max_images, max_bytes, used_bytes, changes, settled_at)"
           " VALUES (:r, :o, :i, :b, :u, 1, 0)",
        use(region), use(owner), use(images), use(bytes), use(used);
  });
}

bool LeaseRecords::settle(const Quota& counted, std::uint64_t used_bytes) {
  return db_.write([&](soci::session& sql) {
    const auto now = select_quota(sql, counted.region, counted.owner);
    if (!now || now->changes != counted.changes) return false;
    const auto used = static_cast<long long>(used_bytes);
    sql << "UPDATE quotas SET used_bytes = :u, settled_at = changes WHERE region = :r AND owner = :o", use(used),
        use(counted.region), use(counted.owner);
    return true;
  });
}

void end_dead_lease(soci::session& sql, const std::string& id, const Moment& now) {
  std::string host;
  sql << "SELECT host FROM leases WHERE id = :i", use(id), into(host);
  fail_making(sql, id, "whoever made it on host " + host + " was killed, or stopped for too long", now);
  sql << "DELETE FROM leases WHERE id = :i", use(id);
}

bool is_held(soci::session& sql, const std::string& id) {
  return holder_of(sql, id).has_value();
}

void redeem_lease(soci::session& sql, const std::string& id) {
  const auto holder = holder_of(sql, id);
  if (!holder) throw lease_is_gone();
  sql << "DELETE FROM leases WHERE id = :i", use(id);
  const auto reserved = static_cast<long long>(holder->reserved);
  sql << "UPDATE quotas SET used_bytes = used_bytes + :b, changes = changes + 1 WHERE region = :r AND owner = :o",
      use(reserved), use(holder->region), use(holder->owner);
}

void let_lease_keep(soci::session& sql, const std::string& id, const Digest& content) {
  if (!holder_of(sql, id)) throw lease_is_gone();
  const std::string c = to_hex(content);
  sql << "UPDATE leases SET content = :c WHERE id = :i", use(c), use(id);
}

void unsettle_quota(soci::session& sql, const std::string& region, const std::string& owner) {
  sql << "UPDATE quotas SET changes = changes + 1 WHERE region = :r AND owner = :o", use(region), use(owner);
}

}  // namespace kiln

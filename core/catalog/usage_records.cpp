#include "catalog/usage_records.h"

#include <soci/soci.h>

#include <algorithm>

#include "catalog/image_records.h"

namespace kiln {
namespace {

using soci::into;
using soci::use;

std::uint64_t unsigned_of(long long number) {
  return static_cast<std::uint64_t>(number);
}

std::int64_t settled_in(soci::session& sql) {
  long long settled = 0;
  sql << "SELECT settled FROM usage_state", into(settled);
  return settled;
}

std::vector<StoredChange> changes_in(soci::session& sql) {
  long long sequence = 0, size = 0;
  int added = 0, is_part = 0;
  std::string content;
  StoredChange row;
  soci::statement query =
      (sql.prepare << "SELECT sequence, moment, region, owner, content, virtual_size, added, is_part"
                      " FROM usage_changes ORDER BY sequence",
       into(sequence), into(row.moment), into(row.region), into(row.owner), into(content), into(size), into(added),
       into(is_part));
  query.execute();
  std::vector<StoredChange> out;
  while (query.fetch()) {
    row.sequence = sequence;
    row.content = parse_digest(content).value_or(Digest{});
    row.virtual_size = unsigned_of(size);
    row.added = added != 0;
    row.is_part = is_part != 0;
    out.push_back(row);
  }
  return out;
}

std::vector<Holding> holdings_in(soci::session& sql) {
  long long size = 0, images = 0;
  int is_part = 0;
  std::string content;
  Holding row;
  const std::string columns =
      "i.region, i.owner, d.content, d.virtual_size, CASE WHEN x.position > 0 THEN 1 ELSE 0 END";
  soci::statement query = (sql.prepare << "SELECT " + columns +
                                              ", COUNT(*) FROM images i JOIN image_disks x ON x.image = i.id"
                                              " JOIN disks d ON d.content = x.content GROUP BY " +
                                              columns,
                           into(row.region), into(row.owner), into(content), into(size), into(is_part), into(images));
  query.execute();
  std::vector<Holding> out;
  while (query.fetch()) {
    row.content = parse_digest(content).value_or(Digest{});
    row.virtual_size = unsigned_of(size);
    row.images = images;
    row.is_part = is_part != 0;
    out.push_back(row);
  }
  return out;
}

std::vector<UsageSample> samples_in(soci::session& sql, const std::string& where, const Moment& from,
                                    const Moment& to) {
  long long unique = 0, common = 0, logical = 0, images = 0;
  UsageSample row;
  const std::string columns =
      "SELECT s.moment, s.region, s.owner, s.unique_bytes, s.common_bytes, s.logical_bytes, s.images"
      " FROM usage_samples s WHERE ";
  soci::statement query = (sql.prepare << columns + where + " ORDER BY s.moment", use(from), use(to), into(row.moment),
                           into(row.region), into(row.owner), into(unique), into(common), into(logical), into(images));
  query.execute();
  std::vector<UsageSample> out;
  while (query.fetch()) {
    row.unique = unsigned_of(unique);
    row.common = unsigned_of(common);
    row.logical = unsigned_of(logical);
    row.images = unsigned_of(images);
    out.push_back(row);
  }
  return out;
}

/// Before :f the newest ones only, and up to :t all.
constexpr const char* newest_and_later =
    "NOT EXISTS (SELECT 1 FROM usage_samples n WHERE n.region = s.region AND n.owner = s.owner"
    " AND n.moment > s.moment AND n.moment <= :f) AND s.moment < :t";
constexpr const char* end_of_time = "9999-12-31T23:59:59Z";

void put_sample(soci::session& sql, const UsageSample& s) {
  const auto unique = static_cast<long long>(s.unique), common = static_cast<long long>(s.common),
             logical = static_cast<long long>(s.logical), images = static_cast<long long>(s.images);
  sql << "DELETE FROM usage_samples WHERE region = :r AND owner = :o AND moment = :m", use(s.region), use(s.owner),
      use(s.moment);
  sql << "INSERT INTO usage_samples (region, owner, moment, unique_bytes, common_bytes, logical_bytes, images)"
         " VALUES (:r, :o, :m, :u, :c, :l, :i)",
      use(s.region), use(s.owner), use(s.moment), use(unique), use(common), use(logical), use(images);
}

}  // namespace

void record_change(soci::session& sql, const std::string& image, const Moment& moment, bool added) {
  Moment last, sampled;
  long long newest = 0;
  sql << "SELECT COALESCE(MAX(moment), ''), COALESCE(MAX(sequence), 0) FROM usage_changes", into(last), into(newest);
  sql << "SELECT COALESCE(MAX(moment), '') FROM usage_samples", into(sampled);
  const Moment at = std::max({moment, last, sampled});
  const long long sequence = std::max<long long>(newest, settled_in(sql)) + 1;
  const int is_added = added ? 1 : 0;
  // An image without a disk, one that failed, keeps nothing in the store.
  sql << "INSERT INTO usage_changes (sequence, moment, region, owner, content, virtual_size, added, is_part)"
         " SELECT CAST(:s AS BIGINT) + x.position, :m, i.region, i.owner, d.content, d.virtual_size, :a,"
         " CASE WHEN x.position > 0 THEN 1 ELSE 0 END FROM images i"
         " JOIN image_disks x ON x.image = i.id JOIN disks d ON d.content = x.content"
         " WHERE i.id = :i",
      use(sequence), use(at), use(is_added), use(image);
}

UsageRecords::Pending UsageRecords::pending(const Moment& now) {
  return db_.write([&](soci::session& sql) {
    (void)remove_expired_images(sql, now);
    Pending out{settled_in(sql), changes_in(sql), {}, {}};
    if (out.changes.empty()) return out;
    out.holdings = holdings_in(sql);
    out.last = samples_in(sql, newest_and_later, end_of_time, end_of_time);
    return out;
  });
}

bool UsageRecords::settle(const Pending& of, const std::vector<UsageSample>& samples) {
  if (of.changes.empty()) return true;
  return db_.write([&](soci::session& sql) {
    if (settled_in(sql) != of.settled) return false;
    for (const UsageSample& sample : samples) put_sample(sql, sample);
    const long long last = of.changes.back().sequence;
    sql << "DELETE FROM usage_changes WHERE sequence <= :s", use(last);
    sql << "UPDATE usage_state SET settled = :s", use(last);
    return true;
  });
}

std::vector<UsageSample> UsageRecords::samples(const Moment& from, const Moment& to) const {
  return db_.read([&](soci::session& sql) { return samples_in(sql, newest_and_later, from, to); });
}

}  // namespace kiln

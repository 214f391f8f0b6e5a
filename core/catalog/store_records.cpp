#include "catalog/store_records.h"

#include <soci/soci.h>

#include "catalog/image_records.h"
#include "catalog/lease_records.h"
#include "catalog/lifecycle.h"

namespace kiln {
namespace {

using soci::into;
using soci::use;

std::vector<PackRecord> select_packs(soci::session& sql, const std::string& where) {
  std::vector<PackRecord> out;
  std::string id, condemned;
  long long bytes = 0, chunks = 0;
  soci::statement query = (sql.prepare << "SELECT id, bytes, chunks, condemned FROM packs " + where + " ORDER BY id",
                           into(id), into(bytes), into(chunks), into(condemned));
  query.execute();
  while (query.fetch())
    out.push_back({id, static_cast<std::uint64_t>(bytes), static_cast<std::uint64_t>(chunks), condemned});
  return out;
}

void insert_pack(soci::session& sql, const PackRecord& pack, const std::string& now) {
  const auto bytes = static_cast<long long>(pack.bytes), chunks = static_cast<long long>(pack.chunks);
  sql << "INSERT INTO packs (id, bytes, chunks, created) VALUES (:i, :b, :c, :t)", use(pack.id), use(bytes),
      use(chunks), use(now);
}

std::vector<DiskRecord> select_disks(soci::session& sql, const std::string& where) {
  std::vector<DiskRecord> out;
  std::string content;
  long long size = 0, data = 0;
  soci::statement query =
      (sql.prepare << "SELECT content, virtual_size, data_chunks FROM disks " + where + " ORDER BY content",
       into(content), into(size), into(data));
  query.execute();
  while (query.fetch())
    out.push_back(
        {parse_digest(content).value_or(Digest{}), static_cast<std::uint64_t>(size), static_cast<std::uint64_t>(data)});
  return out;
}

std::string select_identity(soci::session& sql) {
  std::string id;
  sql << "SELECT COALESCE(MAX(id), '') FROM catalog", into(id);
  return id;
}

/// Ends the transaction that it is thrown through, which then leaves no trace.
struct NotMeant {};

constexpr const char* pack_is_unused = "id NOT IN (SELECT pack FROM disk_packs)";
constexpr const char* disk_is_unused =
    "WHERE content NOT IN (SELECT content FROM image_disks) AND content NOT IN (SELECT content FROM leases)";
// Its chunks are still to be counted: see usage_meter.h.
constexpr const char* disk_is_settled = " AND content NOT IN (SELECT content FROM usage_changes)";

/// Of a collection, inside its transaction.
StoreRecords::Unused forget(soci::session& sql, const std::vector<std::string>& dead_leases, std::chrono::seconds grace,
                            bool dry_run) {
  StoreRecords::Unused out;
  const Moment now = now_moment();
  const std::string unused = std::string(disk_is_unused) + (dry_run ? "" : disk_is_settled);
  for (const std::string& id : dead_leases) end_dead_lease(sql, id, now);
  out.images = remove_expired_images(sql, now);
  out.disks = select_disks(sql, unused);
  sql << "DELETE FROM disks " + unused;
  sql << std::string("UPDATE packs SET condemned = :n WHERE condemned = '' AND ") + pack_is_unused, use(now);
  sql << std::string("UPDATE packs SET condemned = '' WHERE condemned <> '' AND NOT ") + pack_is_unused;
  std::vector<PackRecord> condemned = select_packs(sql, "WHERE condemned <> ''");
  std::string oldest;
  sql << "SELECT COALESCE(MIN(created), '') FROM leases", into(oldest);
  for (PackRecord& pack : condemned) {
    if (!oldest.empty() && oldest <= later(pack.condemned, grace)) {
      out.waiting.push_back(std::move(pack));
      continue;
    }
    sql << "DELETE FROM packs WHERE id = :i", use(pack.id);
    out.packs.push_back(std::move(pack));
  }
  return out;
}

bool has_disk(soci::session& sql, const Digest& content) {
  int count = 0;
  const std::string c = to_hex(content);
  sql << "SELECT COUNT(*) FROM disks WHERE content = :c", use(c), into(count);
  return count > 0;
}

/// A disk, the packs that its chunks are in, and the new one among them.
void insert_disk(soci::session& sql, const DiskRecord& disk, const std::optional<PackRecord>& new_pack,
                 const std::vector<std::string>& packs, const std::string& now) {
  const std::string content = to_hex(disk.content);
  const auto size = static_cast<long long>(disk.virtual_size), data = static_cast<long long>(disk.data_chunks);
  if (new_pack) insert_pack(sql, *new_pack, now);
  sql << "INSERT INTO disks (content, virtual_size, data_chunks) VALUES (:c, :s, :d)", use(content), use(size),
      use(data);
  for (const std::string& pack : packs)
    sql << "UPDATE packs SET condemned = '' WHERE id = :i AND condemned <> ''", use(pack);
  for (const std::string& pack : packs)
    sql << "INSERT INTO disk_packs (content, pack) VALUES (:c, :p)", use(content), use(pack);
}

/// The disk is read from these packs instead, the new one among them.
void replace_disk_packs(soci::session& sql, const Digest& content, const std::optional<PackRecord>& new_pack,
                        const std::vector<std::string>& packs, const std::string& now) {
  const std::string c = to_hex(content);
  if (new_pack) insert_pack(sql, *new_pack, now);
  sql << "DELETE FROM disk_packs WHERE content = :c", use(c);
  for (const std::string& pack : packs)
    sql << "INSERT INTO disk_packs (content, pack) VALUES (:c, :p)", use(c), use(pack);
}

}  // namespace

std::optional<std::uint64_t> record_disk(soci::session& sql, const NewDisk& add, const std::string& now) {
  const bool is_here = has_disk(sql, add.disk.content);
  if (!is_here && !add.files) return std::nullopt;
  if (is_here && !add.replaces_packs) return 0;
  if (is_here)
    replace_disk_packs(sql, add.disk.content, add.pack, add.packs, now);
  else
    insert_disk(sql, add.disk, add.pack, add.packs, now);
  return add.pack ? add.pack->bytes : 0;
}

std::optional<std::uint64_t> StoreRecords::keep_part(const NewDisk& add) {
  return db_.write([&](soci::session& sql) {
    const auto bytes = record_disk(sql, add, now_moment());
    if (bytes) let_lease_keep(sql, add.lease, add.disk.content);
    return bytes;
  });
}

bool StoreRecords::has_disk(const Digest& content) const {
  return db_.read([&](soci::session& sql) { return kiln::has_disk(sql, content); });
}

std::string StoreRecords::identity() const {
  return db_.read(select_identity);
}

std::string StoreRecords::set_identity(const std::string& fresh) {
  return db_.write([&](soci::session& sql) {
    if (std::string id = select_identity(sql); !id.empty()) return id;
    sql << "INSERT INTO catalog (id) VALUES (:i)", use(fresh);
    return fresh;
  });
}

std::vector<PackRecord> StoreRecords::packs() const {
  return db_.read([&](soci::session& sql) { return select_packs(sql, ""); });
}

std::optional<std::vector<std::string>> StoreRecords::packs_of(const Digest& content) const {
  return db_.read([&](soci::session& sql) -> std::optional<std::vector<std::string>> {
    std::vector<std::string> out;
    std::string pack;
    const std::string c = to_hex(content);
    // One statement, so that the disk and its packs are those of one moment.
    soci::statement query = (sql.prepare << "SELECT COALESCE(p.pack, '') FROM disks d LEFT JOIN disk_packs p"
                                            " ON p.content = d.content WHERE d.content = :c ORDER BY p.pack",
                             use(c), into(pack));
    query.execute();
    bool is_there = false;
    for (; query.fetch(); is_there = true)
      if (!pack.empty()) out.push_back(pack);
    if (!is_there) return std::nullopt;
    return out;
  });
}

std::vector<DiskRecord> StoreRecords::disks() const {
  return db_.read([](soci::session& sql) { return select_disks(sql, ""); });
}

std::vector<Digest> StoreRecords::disks_of(const std::string& pack) const {
  return db_.read([&](soci::session& sql) {
    std::vector<Digest> out;
    std::string content;
    soci::statement query =
        (sql.prepare << "SELECT content FROM disk_packs WHERE pack = :p ORDER BY content", use(pack), into(content));
    query.execute();
    while (query.fetch()) out.push_back(parse_digest(content).value_or(Digest{}));
    return out;
  });
}

void StoreRecords::replace_pack(const std::string& old, const PackRecord& fresh, const std::vector<Digest>& disks) {
  db_.write([&](soci::session& sql) {
    insert_pack(sql, fresh, now_moment());
    // One by one: another disk may have begun to count on the old pack since these were looked at.
    for (const Digest& disk : disks) {
      const std::string content = to_hex(disk);
      sql << "UPDATE disk_packs SET pack = :n WHERE pack = :o AND content = :c", use(fresh.id), use(old), use(content);
    }
  });
}

StoreRecords::Unused StoreRecords::forget_unused(const std::vector<std::string>& dead_leases,
                                                 std::chrono::seconds grace, bool dry_run) {
  Unused out;
  try {
    db_.write([&](soci::session& sql) {
      out = forget(sql, dead_leases, grace, dry_run);
      if (dry_run) throw NotMeant();
    });
  } catch (const NotMeant&) {
    // out is what would have gone
  }
  return out;
}

}  // namespace kiln

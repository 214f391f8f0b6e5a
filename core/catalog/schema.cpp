#include "catalog/schema.h"

#include <soci/soci.h>

#include <array>
#include <span>
#include <string>

#include <kiln/error.h>

namespace kiln {
namespace {

// One entry for each version, applied in order; entries are never edited. Types and clauses are those that SQLite and
// PostgreSQL share.
constexpr std::array first_tables{
    // A pack is there, whole and on the disk, before its row is.
    "CREATE TABLE packs (id VARCHAR(32) PRIMARY KEY, bytes BIGINT NOT NULL, chunks BIGINT NOT NULL,"
    " created VARCHAR(32) NOT NULL)",
    // Content that is stored, by digest; its manifest is disks/<content>.manifest.
    "CREATE TABLE disks (content VARCHAR(64) PRIMARY KEY, virtual_size BIGINT NOT NULL, data_chunks BIGINT NOT NULL)",
    "CREATE TABLE disk_packs (content VARCHAR(64) NOT NULL REFERENCES disks(content) ON DELETE CASCADE,"
    " pack VARCHAR(32) NOT NULL REFERENCES packs(id), PRIMARY KEY (content, pack))",
    "CREATE INDEX disk_packs_by_pack ON disk_packs (pack)",
    // sequence: the order of publishing. facts: a JSON object of strings.
    "CREATE TABLE images (id VARCHAR(36) PRIMARY KEY, sequence BIGINT NOT NULL UNIQUE, name VARCHAR(128) NOT NULL,"
    " version VARCHAR(128) NOT NULL, created VARCHAR(32) NOT NULL, stored_bytes BIGINT NOT NULL, facts TEXT NOT NULL,"
    " UNIQUE (name, version))",
    "CREATE TABLE image_disks (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " position INTEGER NOT NULL, content VARCHAR(64) NOT NULL REFERENCES disks(content),"
    " PRIMARY KEY (image, position))",
    "CREATE INDEX image_disks_by_content ON image_disks (content)",
    "CREATE TABLE channels (name VARCHAR(128) NOT NULL, channel VARCHAR(128) NOT NULL,"
    " image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE, PRIMARY KEY (name, channel))",
    "CREATE INDEX channels_by_image ON channels (image)"};

// Owners, regions, lives of images, shares. A moment is text as in 2026-11-22T20:00:00Z, so that its order is that of
// time; an empty one is none. What was there belongs to the account "local".
constexpr std::array accounts{
    // visibility: private, public. state: creating, available, failed; what else a state can be, the dates say.
    "CREATE TABLE images_2 (id VARCHAR(36) PRIMARY KEY, sequence BIGINT NOT NULL UNIQUE, region VARCHAR(64) NOT NULL,"
    " owner VARCHAR(128) NOT NULL, name VARCHAR(128) NOT NULL, version VARCHAR(128) NOT NULL,"
    " visibility VARCHAR(16) NOT NULL, state VARCHAR(16) NOT NULL, created VARCHAR(32) NOT NULL,"
    " description TEXT NOT NULL, error TEXT NOT NULL, stored_bytes BIGINT NOT NULL,"
    " protected INTEGER NOT NULL, deprecated_at VARCHAR(32) NOT NULL, obsolete_at VARCHAR(32) NOT NULL,"
    " replacement VARCHAR(400) NOT NULL, revoked_at VARCHAR(32) NOT NULL, reason TEXT NOT NULL,"
    " trashed_at VARCHAR(32) NOT NULL, purge_at VARCHAR(32) NOT NULL, facts TEXT NOT NULL,"
    " UNIQUE (region, owner, name, version))",
    "INSERT INTO images_2 SELECT id, sequence, 'local', 'local', name, version, 'private', 'available', created, '', "
    "'',"
    " stored_bytes, 0, '', '', '', '', '', '', '', facts FROM images",
    "CREATE TABLE image_disks_2 (image VARCHAR(36) NOT NULL REFERENCES images_2(id) ON DELETE CASCADE,"
    " position INTEGER NOT NULL, content VARCHAR(64) NOT NULL REFERENCES disks(content),"
    " PRIMARY KEY (image, position))",
    "INSERT INTO image_disks_2 SELECT image, position, content FROM image_disks",
    "CREATE TABLE channels_2 (region VARCHAR(64) NOT NULL, owner VARCHAR(128) NOT NULL, name VARCHAR(128) NOT NULL,"
    " channel VARCHAR(128) NOT NULL, image VARCHAR(36) NOT NULL REFERENCES images_2(id) ON DELETE CASCADE,"
    " PRIMARY KEY (region, owner, name, channel))",
    "INSERT INTO channels_2 SELECT 'local', 'local', name, channel, image FROM channels", "DROP TABLE channels",
    "DROP TABLE image_disks", "DROP TABLE images", "ALTER TABLE images_2 RENAME TO images",
    "ALTER TABLE image_disks_2 RENAME TO image_disks", "ALTER TABLE channels_2 RENAME TO channels",
    "CREATE INDEX images_by_name ON images (owner, name, sequence)",
    "CREATE INDEX image_disks_by_content ON image_disks (content)",
    "CREATE INDEX channels_by_image ON channels (image)",
    // Where a channel pointed, and who moved it there; version is kept for images that are gone.
    "CREATE TABLE channel_history (sequence BIGINT PRIMARY KEY, region VARCHAR(64) NOT NULL,"
    " owner VARCHAR(128) NOT NULL, name VARCHAR(128) NOT NULL, channel VARCHAR(128) NOT NULL,"
    " image VARCHAR(36) NOT NULL, version VARCHAR(128) NOT NULL, actor VARCHAR(128) NOT NULL,"
    " moment VARCHAR(32) NOT NULL)",
    "CREATE INDEX channel_history_by_channel ON channel_history (region, owner, name, channel, sequence)",
    "CREATE TABLE image_tags (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " tag VARCHAR(255) NOT NULL, PRIMARY KEY (image, tag))",
    "CREATE TABLE image_properties (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " name VARCHAR(255) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (image, name))",
    // A parent may be gone: its id stays known.
    "CREATE TABLE image_parents (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " parent VARCHAR(36) NOT NULL, PRIMARY KEY (image, parent))",
    "CREATE INDEX image_parents_by_parent ON image_parents (parent)",
    // state: pending, accepted, rejected.
    "CREATE TABLE shares (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " member VARCHAR(128) NOT NULL, state VARCHAR(16) NOT NULL, may_copy INTEGER NOT NULL,"
    " created VARCHAR(32) NOT NULL, PRIMARY KEY (image, member))",
    "CREATE INDEX shares_by_member ON shares (member)"};

// Who has signed an image. signer: the id of the key.
constexpr std::array signatures{
    "CREATE TABLE image_signatures (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " signer VARCHAR(64) NOT NULL, signature VARCHAR(128) NOT NULL, made VARCHAR(32) NOT NULL,"
    " signed_at VARCHAR(32) NOT NULL, PRIMARY KEY (image, signer))"};

// What accounts keep, for usage_meter.h. The changes are those that are not settled yet; an image that is there already
// counts from the moment of its making.
constexpr std::array usage{
    "CREATE TABLE usage_changes (sequence BIGINT PRIMARY KEY, moment VARCHAR(32) NOT NULL,"
    " region VARCHAR(64) NOT NULL, owner VARCHAR(128) NOT NULL, content VARCHAR(64) NOT NULL,"
    " virtual_size BIGINT NOT NULL, added INTEGER NOT NULL)",
    "CREATE TABLE usage_samples (region VARCHAR(64) NOT NULL, owner VARCHAR(128) NOT NULL, moment VARCHAR(32) NOT NULL,"
    " unique_bytes BIGINT NOT NULL, common_bytes BIGINT NOT NULL, logical_bytes BIGINT NOT NULL,"
    " images BIGINT NOT NULL, PRIMARY KEY (region, owner, moment))",
    "CREATE INDEX usage_samples_by_moment ON usage_samples (moment)",
    "CREATE TABLE usage_state (settled BIGINT NOT NULL)",
    "INSERT INTO usage_state (settled) VALUES (0)",
    "INSERT INTO usage_changes SELECT i.sequence, i.created, i.region, i.owner, d.content, d.virtual_size, 1"
    " FROM images i JOIN image_disks x ON x.image = i.id AND x.position = 0 JOIN disks d ON d.content = x.content"};

// What a collection has to know, and how much an owner may store.
constexpr std::array collection{
    // condemned: since when no image needs the pack. A publish that began before may still come to need it.
    "ALTER TABLE packs ADD COLUMN condemned VARCHAR(32) NOT NULL DEFAULT ''",
    // One for each publish or copy that runs. Its files in staging/ begin with its id. reserved: bytes of a quota.
    "CREATE TABLE leases (id VARCHAR(32) PRIMARY KEY, region VARCHAR(64) NOT NULL, owner VARCHAR(128) NOT NULL,"
    " host VARCHAR(255) NOT NULL, created VARCHAR(32) NOT NULL, expires VARCHAR(32) NOT NULL,"
    " reserved BIGINT NOT NULL)",
    // -1: no limit. used_bytes is exact when settled_at = changes, and never too little.
    "CREATE TABLE quotas (region VARCHAR(64) NOT NULL, owner VARCHAR(128) NOT NULL, max_images BIGINT NOT NULL,"
    " max_bytes BIGINT NOT NULL, used_bytes BIGINT NOT NULL, changes BIGINT NOT NULL, settled_at BIGINT NOT NULL,"
    " PRIMARY KEY (region, owner))"};

// The folder of the bytes has the same id in a file.
constexpr std::array identity{"CREATE TABLE catalog (id VARCHAR(32) PRIMARY KEY)"};

// Of a rollback: the sequence of the move that it went back to; 0 of any other move.
constexpr std::array rollbacks{"ALTER TABLE channel_history ADD COLUMN back_to BIGINT NOT NULL DEFAULT 0"};

// Which instances run from an image, in any home that uses this catalog. instance: empty while it is being launched.
constexpr std::array uses{
    "CREATE TABLE image_uses (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " home VARCHAR(1024) NOT NULL, instance VARCHAR(64) NOT NULL, account VARCHAR(128) NOT NULL,"
    " PRIMARY KEY (image, home, instance))",
    "CREATE INDEX image_uses_by_home ON image_uses (home)"};

// An image of several disks: position 0 is the system disk, the others are its parts. A lease that stores a part keeps
// its content, which is empty before that is on record.
constexpr std::array parts{"ALTER TABLE image_disks ADD COLUMN role VARCHAR(128) NOT NULL DEFAULT 'disk'",
                           "ALTER TABLE image_disks ADD COLUMN name VARCHAR(128) NOT NULL DEFAULT ''",
                           "ALTER TABLE leases ADD COLUMN is_part INTEGER NOT NULL DEFAULT 0",
                           "ALTER TABLE leases ADD COLUMN content VARCHAR(64) NOT NULL DEFAULT ''",
                           "ALTER TABLE usage_changes ADD COLUMN is_part INTEGER NOT NULL DEFAULT 0"};

const std::array<std::span<const char* const>, 9> migrations{first_tables, accounts,  signatures, usage, collection,
                                                             identity,     rollbacks, uses,       parts};

int version_of(soci::session& sql) {
  int have = 0;
  sql << "SELECT COALESCE(MAX(version), 0) FROM migrations", soci::into(have);
  if (have > static_cast<int>(migrations.size()))
    throw Error("the catalog was made by a newer kiln (records version " + std::to_string(have) + ", this one knows " +
                    std::to_string(migrations.size()) + ")",
                "install that kiln, or give another KILN_HOME");
  return have;
}

}  // namespace

bool schema_is_current(soci::session& sql) {
  try {
    return version_of(sql) == static_cast<int>(migrations.size());
  } catch (const soci::soci_error&) {
    return false;  // no table yet, or a database that the first step will complain of
  }
}

bool migrate_one_step(soci::session& sql) {
  sql << "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)";
  const int have = version_of(sql), newest = static_cast<int>(migrations.size());
  if (have == newest) return false;
  for (const char* statement : migrations[static_cast<std::size_t>(have)]) sql << statement;
  const int next = have + 1;
  sql << "INSERT INTO migrations (version) VALUES (:v)", soci::use(next);
  return next < newest;
}

}  // namespace kiln

#include "catalog/schema.h"

#include <soci/soci.h>

#include <array>
#include <span>
#include <string>

#include <kiln/error.h>

namespace kiln {
namespace {

// One entry for each version, applied in order; entries are never edited. Types and clauses are those that SQLite and
// PostgreSQL share. Accounts, shares and regions will be tables that refer to images and packs.
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

const std::array<std::span<const char* const>, 1> migrations{first_tables};

}  // namespace

void migrate(soci::session& sql) {
  sql << "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)";
  int have = 0;
  sql << "SELECT COALESCE(MAX(version), 0) FROM migrations", soci::into(have);
  if (have > static_cast<int>(migrations.size()))
    throw Error("the catalog was made by a newer kiln (records version " + std::to_string(have) + ", this one knows " +
                    std::to_string(migrations.size()) + ")",
                "install that kiln, or give another KILN_HOME");
  for (int version = have + 1; version <= static_cast<int>(migrations.size()); ++version) {
    soci::transaction transaction(sql);
    for (const char* statement : migrations[static_cast<std::size_t>(version - 1)]) sql << statement;
    sql << "INSERT INTO migrations (version) VALUES (:v)", soci::use(version);
    transaction.commit();
  }
}

}  // namespace kiln

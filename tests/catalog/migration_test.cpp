// A database that an older kiln made, and one that a newer kiln made.

#include <gmock/gmock.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "accounts.h"
#include "catalog/schema.h"

namespace kiln {
namespace {

using soci::use;

// The tables of version 1 as that version made them: text of its own, so that no later change of the program reaches
// it.
constexpr const char* version_1[] = {
    "CREATE TABLE migrations (version INTEGER PRIMARY KEY)",
    "CREATE TABLE packs (id VARCHAR(32) PRIMARY KEY, bytes BIGINT NOT NULL, chunks BIGINT NOT NULL,"
    " created VARCHAR(32) NOT NULL)",
    "CREATE TABLE disks (content VARCHAR(64) PRIMARY KEY, virtual_size BIGINT NOT NULL, data_chunks BIGINT NOT NULL)",
    "CREATE TABLE disk_packs (content VARCHAR(64) NOT NULL REFERENCES disks(content) ON DELETE CASCADE,"
    " pack VARCHAR(32) NOT NULL REFERENCES packs(id), PRIMARY KEY (content, pack))",
    "CREATE INDEX disk_packs_by_pack ON disk_packs (pack)",
    "CREATE TABLE images (id VARCHAR(36) PRIMARY KEY, sequence BIGINT NOT NULL UNIQUE, name VARCHAR(128) NOT NULL,"
    " version VARCHAR(128) NOT NULL, created VARCHAR(32) NOT NULL, stored_bytes BIGINT NOT NULL, facts TEXT NOT NULL,"
    " UNIQUE (name, version))",
    "CREATE TABLE image_disks (image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE,"
    " position INTEGER NOT NULL, content VARCHAR(64) NOT NULL REFERENCES disks(content),"
    " PRIMARY KEY (image, position))",
    "CREATE INDEX image_disks_by_content ON image_disks (content)",
    "CREATE TABLE channels (name VARCHAR(128) NOT NULL, channel VARCHAR(128) NOT NULL,"
    " image VARCHAR(36) NOT NULL REFERENCES images(id) ON DELETE CASCADE, PRIMARY KEY (name, channel))",
    "CREATE INDEX channels_by_image ON channels (image)",
    "INSERT INTO migrations (version) VALUES (1)",
    "INSERT INTO images VALUES ('id-1', 1, 'web', '1', '2026-01-02T03:04:05Z', 77, '{\"arch\":\"x86_64\"}')",
    "INSERT INTO images VALUES ('id-2', 2, 'web', '2', '2026-01-03T03:04:05Z', 0, '{}')",
    "INSERT INTO channels VALUES ('web', 'stable', 'id-1')"};

class MigrationTest : public test::OnBothDatabases {
 protected:
  MigrationTest() {
    // The files of a catalog never changed: those of today are those of version 1.
    LocalCatalog made(old);
    image = test::publish(made, disk, {"web", "1", "", 0, {}}).image;
    pack = test::only_file(old / "packs").stem();
  }
  void session(const std::function<void(soci::session&)>& work) {
    soci::session sql;
    if (database.empty())
      sql.open(soci::sqlite3, "db=" + (old / "records.sqlite").string());
    else
      sql.open(soci::postgresql, database);
    work(sql);
  }
  void make_version_1() {
    forget_records();
    session([&](soci::session& sql) {
      for (const char* statement : version_1) sql << statement;
      const std::string content = to_hex(image.content);
      const auto size = static_cast<long long>(disk.size());
      sql << "INSERT INTO packs VALUES (:p, 77, 6, 'x')", use(pack);
      sql << "INSERT INTO disks VALUES (:c, :s, 6)", use(content), use(size);
      sql << "INSERT INTO disk_packs VALUES (:c, :p)", use(content), use(pack);
      for (const std::string id : {"id-1", "id-2"})
        sql << "INSERT INTO image_disks VALUES (:i, 0, :c)", use(id), use(content);
    });
  }

  /// By this program's own steps, which are never edited once they were released.
  void make_version(int version) {
    forget_records();
    session([&](soci::session& sql) {
      for (int step = 0; step < version; ++step) (void)migrate_one_step(sql);
      const std::string content = to_hex(image.content);
      const auto size = static_cast<long long>(disk.size());
      sql << "INSERT INTO packs (id, bytes, chunks, created) VALUES (:p, 77, 6, '2026-01-02T03:04:05Z')", use(pack);
      sql << "INSERT INTO disks (content, virtual_size, data_chunks) VALUES (:c, :s, 6)", use(content), use(size);
      sql << "INSERT INTO disk_packs (content, pack) VALUES (:c, :p)", use(content), use(pack);
      for (const std::string number : {"1", "2"}) {
        sql << "INSERT INTO images (id, sequence, region, owner, name, version, visibility, state, created, "
               "description,"
               " error, stored_bytes, protected, deprecated_at, obsolete_at, replacement, revoked_at, reason, "
               "trashed_at,"
               " purge_at, facts) VALUES ('id-" +
                   number + "', " + number + ", 'local', 'local', 'web', '" + number +
                   "', 'private', 'available', '2026-01-0" + number +
                   "T03:04:05Z', '', '', 77, 0, '', '', '', '', '', '', '', '{}')";
        sql << "INSERT INTO image_disks (image, position, content) VALUES ('id-" + number + "', 0, :c)", use(content);
      }
    });
  }
  void forget_records() {
    std::filesystem::remove(old / "catalog.id");
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove((old / "records.sqlite").string() + suffix);
    if (!database.empty()) database = test::PostgresServer::shared().new_database();
  }

  static constexpr int newest = 9;
  std::filesystem::path old = folder / "old";
  test::MemoryDisk disk = test::make_disk(1 << 20, 1);
  Image image;
  std::string pack;
};

TEST_P(MigrationTest, WhatVersionOneHeldBelongsToTheAccountLocal) {
  make_version_1();
  LocalCatalog catalog(old, {"local", false}, database);
  EXPECT_THAT(test::names_of(catalog.list()), testing::ElementsAre("local/web:2", "local/web:1"));
  const ImageEntry entry = catalog.show("web:stable");
  EXPECT_EQ(entry.image.id, "id-1");
  EXPECT_EQ(entry.image.created, "2026-01-02T03:04:05Z");
  EXPECT_EQ(entry.image.stored_bytes, 77u);
  EXPECT_EQ(entry.image.facts, (Facts{{"arch", "x86_64"}}));
  EXPECT_EQ(entry.state(), ImageState::available);
  EXPECT_FALSE(entry.is_public);
  EXPECT_TRUE(test::same_content(*catalog.open(entry.image), disk));
  EXPECT_TRUE(LocalCatalog(old, {"bob", false}, database).list().empty());
}

TEST_P(MigrationTest, AMigratedCatalogIsUsedLikeANewOne) {
  make_version_1();
  LocalCatalog catalog(old, {"local", false}, database);
  EXPECT_EQ(test::publish(catalog, disk, {"web", "3", "stable", 0, {}}).new_chunks, 0u);
  EXPECT_EQ(catalog.show("web:stable").reference(), "web:3");
  EXPECT_EQ(Labels(catalog.view()).promote("web:1", "stable").reference(), "web:1");
  EXPECT_EQ(Labels(catalog.view()).roll_back("web", "stable").reference(), "web:3");
  Labels(catalog.view()).remove_channel("web", "stable");
  for (const char* reference : {"web:1", "web:2"}) EXPECT_EQ(catalog.remove(reference).packs_removed, 0u);
  EXPECT_EQ(catalog.remove("web:3").packs_removed, 1u);
  EXPECT_TRUE(test::files_in(old / "packs").empty());
}

TEST_P(MigrationTest, WhatEachLaterVersionHeldIsThere) {
  for (int version = 2; version < newest; ++version) {
    SCOPED_TRACE(version);
    make_version(version);
    LocalCatalog catalog(old, {"local", false}, database);
    ASSERT_EQ(test::names_of(catalog.list()), (std::vector<std::string>{"local/web:2", "local/web:1"}));
    EXPECT_TRUE(test::same_content(*catalog.open(catalog.show("web:1").image), disk));
    EXPECT_EQ(test::publish(catalog, disk, {"web", "3", "stable", 0, {}}).new_chunks, 0u);
    EXPECT_EQ(catalog.show("web:stable").reference(), "web:3");
    Labels(catalog.view()).remove_channel("web", "stable");
    EXPECT_EQ(catalog.remove("web:3").packs_removed, 0u);
  }
}

TEST_P(MigrationTest, OpeningAgainChangesNothing) {
  make_version_1();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(LocalCatalog(old, {"local", false}, database).list().size(), 2u);
}

TEST_P(MigrationTest, ACatalogOfANewerKilnIsRefused) {
  make_version_1();
  { const LocalCatalog made(old, {"local", false}, database); }
  session([](soci::session& sql) { sql << "INSERT INTO migrations (version) VALUES (99)"; });
  const Error error = test::error_of([&] { LocalCatalog(old, {"local", false}, database); });
  EXPECT_THAT(error.what(), testing::StartsWith("the catalog was made by a newer kiln (records version 99, "));
  EXPECT_EQ(error.hint(), "install that kiln, or give another KILN_HOME");
}

KILN_ON_BOTH_DATABASES(MigrationTest);

}  // namespace
}  // namespace kiln

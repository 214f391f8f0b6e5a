#include "catalog/database.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <soci/soci.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <future>

#include "accounts.h"
#include "support/run.h"

namespace kiln {
namespace {

using test::error_of;

class DatabaseTest : public test::OnBothDatabases {
 protected:
  std::string where() const { return database.empty() ? (folder / "records.sqlite").string() : database; }
  static int count(const Database& db) {
    return db.read([](soci::session& sql) {
      int packs = 0;
      sql << "SELECT COUNT(*) FROM packs", soci::into(packs);
      return packs;
    });
  }
  static void add(soci::session& sql, const std::string& id) {
    sql << "INSERT INTO packs (id, bytes, chunks, created) VALUES (:i, 5000000000, 1, 'x')", soci::use(id);
  }
};

TEST_P(DatabaseTest, ATransactionThatFailsLeavesNothingAndTheNextOneWorks) {
  Database db(where());
  EXPECT_THROW(db.write([](soci::session& sql) {
    add(sql, "a");
    throw Error("given up");
  }),
               Error);
  EXPECT_EQ(count(db), 0);
  const Error error = error_of([&] {
    db.write([](soci::session& sql) {
      add(sql, "a");
      add(sql, "a");
    });
  });
  EXPECT_FALSE(error.evidence().empty());
  EXPECT_EQ(count(db), 0);
  db.write([](soci::session& sql) { add(sql, "a"); });
  EXPECT_EQ(count(db), 1);
}

TEST_P(DatabaseTest, AReadThatFailsHarmsNoLaterOne) {
  const Database db(where());
  EXPECT_THROW(db.read([](soci::session& sql) { sql << "SELECT nothing FROM nowhere"; }), Error);
  EXPECT_EQ(count(db), 0);
}

TEST_P(DatabaseTest, WritersTakeTurnsSoThatNoCountIsLost) {
  const auto work = [&] {
    Database db(where());
    for (int i = 0; i < 20; ++i)
      db.write([](soci::session& sql) {
        int packs = 0;
        sql << "SELECT COUNT(*) FROM packs", soci::into(packs);
        add(sql, std::to_string(packs));  // a second writer of the same number would fail
      });
  };
  { const Database made(where()); }
  std::vector<std::future<void>> writers;
  for (int i = 0; i < 4; ++i) writers.push_back(std::async(std::launch::async, work));
  for (auto& writer : writers) EXPECT_NO_THROW(writer.get());
  EXPECT_EQ(count(Database(where())), 80);
}

TEST_P(DatabaseTest, ManyMakeItAtTheSameTime) {
  std::vector<std::future<void>> makers;
  for (int i = 0; i < 4; ++i)
    makers.push_back(std::async(std::launch::async, [&] { const LocalCatalog made(folder / "c", {"a"}, database); }));
  for (auto& maker : makers) EXPECT_NO_THROW(maker.get());
}

TEST_P(DatabaseTest, ProcessesThatPublishAtTheSameTimeGetAVersionEach) {
  std::vector<std::future<test::Outcome>> running;
  for (int i = 0; i < 4; ++i)
    running.push_back(std::async(std::launch::async, [&, i] {
      return test::run({KILN_CATALOG_PUBLISHER, folder / "c", "web", "", std::to_string(i % 2), "1", "0", database});
    }));
  for (auto& outcome : running) EXPECT_EQ(outcome.get().status, 0);
  const LocalCatalog catalog(folder / "c", {"local", true}, database);
  std::set<std::string> versions;
  for (const ImageEntry& entry : catalog.list()) versions.insert(entry.image.version);
  EXPECT_EQ(versions.size(), 4u);
  EXPECT_EQ(catalog.statistics().disks, 2u);
  EXPECT_TRUE(catalog.verify().damaged.empty());
}

KILN_ON_BOTH_DATABASES(DatabaseTest);

TEST(PostgreSqlTest, AServerThatDoesNotAnswerIsToldOfInSeconds) {
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(silent, 4), 0);
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(Database("postgresql://kiln@127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/kiln"), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(40));
  ::close(silent);
}

TEST(PostgreSqlTest, AnAddressWithoutOptionsIsUsedAsItIs) {
  const std::string url = test::PostgresServer::shared().new_database();  // postgresql:///NAME?user=kiln&host=/FOLDER
  const std::string name = url.substr(14, url.find('?') - 14);
  std::string host = url.substr(url.rfind('=') + 1);
  for (std::size_t at; (at = host.find('/')) != std::string::npos;) host.replace(at, 1, "%2F");
  const Database db("postgresql://kiln@" + host + "/" + name);
  EXPECT_EQ(db.read([](soci::session& sql) {
    std::string database;
    sql << "SELECT current_database()", soci::into(database);
    return database;
  }),
            name);
}

TEST(PostgreSqlTest, AConnectionThatIsLostIsMadeAgain) {
  const std::string url = test::PostgresServer::shared().new_database();
  Database db(url), other(url);
  other.read([](soci::session& sql) {
    sql << "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
           " AND pid <> pg_backend_pid()";
  });
  const auto ask = [&] { db.read([](soci::session& sql) { sql << "SELECT COUNT(*) FROM packs"; }); };
  const Error error = error_of(ask);
  EXPECT_STREQ(error.what(), "the catalog's database cannot be used");
  EXPECT_NO_THROW(ask());
}

TEST(PostgreSqlTest, APasswordIsNotInTheError) {
  for (const char* url : {"postgresql://kiln:secret@/db?host=/nonexistent",
                          "postgresql:///db?host=/nonexistent&user=kiln&password=secret"}) {
    const Error error = error_of([&] { Database{url}; });
    EXPECT_EQ(error.hint(), "is the server up, and is the URL right?");
    ASSERT_EQ(error.evidence().size(), 1u);
    EXPECT_THAT(error.evidence()[0], testing::HasSubstr("/nonexistent"));
    EXPECT_THAT(error.evidence()[0], testing::Not(testing::HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace kiln

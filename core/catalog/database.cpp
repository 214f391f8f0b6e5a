#include "catalog/database.h"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include <kiln/error.h>

#include "catalog/schema.h"

namespace kiln {
namespace {

// SQLite's result codes (sqlite.org/rescode.html). SOCI 4.0.3 gives no category for them, and its header hides
// sqlite3.h in a namespace.
constexpr int busy = 5, locked = 6, io_error = 10, corrupt = 11, full = 13, not_a_database = 26;
// Any number will do, as long as nobody else takes it on the same database.
constexpr const char* take_turns = "SELECT pg_advisory_xact_lock(7164219301)";

Error translate_sqlite(int code, const std::vector<std::string>& evidence) {
  switch (code) {
    case busy:
    case locked:
      return Error("the catalog's records were in use by another kiln for too long", "try again", evidence);
    case full:
      return Error("cannot write the catalog's records: no space left on the disk",
                   "free some space, or give another KILN_HOME", evidence);
    case io_error:
      return Error("cannot read or write the catalog's records", "look at the health and the free space of the disk",
                   evidence);
    case corrupt:
    case not_a_database:
      return Error("the catalog's records are damaged", "restore the file from a backup", evidence);
    default:
      return Error("the catalog's records cannot be used", "look at the lines above", evidence);
  }
}

/// A URL may hold a password, which has no place in a message.
std::string without_password(std::string where) {
  if (const auto option = where.find("password="); is_server(where) && option != std::string::npos)
    where.erase(option, where.find('&', option) - option);
  const auto at = where.rfind('@');
  const auto scheme = where.find("://");
  const auto colon = at == std::string::npos ? at : where.find(':', scheme + 3);
  if (!is_server(where) || colon == std::string::npos || colon > at) return where;
  return where.substr(0, colon) + where.substr(at);
}

/// A server that does not answer is told of in seconds. SOCI 4.0.3 takes the address apart at its "=" signs, and
/// forgets one that has none.
std::string with_a_time_limit(const std::string& url) {
  if (url.find("connect_timeout=") != std::string::npos) return url;
  return url + (url.find('=') != std::string::npos ? '&' : '?') + "connect_timeout=10";
}

}  // namespace

bool is_server(std::string_view where) {
  return where.starts_with("postgresql://") || where.starts_with("postgres://");
}

/// SQLite's own locks round every call cost a tenth of a long list. A connection here is used under its Database's.
void use_own_locks() {
  static const int configured = sqlite_api::sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
  (void)configured;  // refused when somebody has used SQLite before: then it locks, which harms nobody
}

struct Database::State {
  explicit State(const std::string& address) : where(address), server(is_server(address)) {
    if (!server) use_own_locks();
  }

  void open() {
    if (server) {
      sql.open(soci::postgresql, with_a_time_limit(where));
      // What the server merely remarks goes to standard error, which belongs to the observers.
      sql << "SET client_min_messages = warning";
      // A kiln that was stopped in the middle of a transaction must not stop all others.
      sql << "SET idle_in_transaction_session_timeout = '30s'";
      sql << "SET lock_timeout = '60s'";
    } else {
      sql.open(soci::sqlite3, "db=\"" + where + "\" timeout=30");
      sql << "PRAGMA journal_mode = WAL";
      sql << "PRAGMA synchronous = FULL";
      sql << "PRAGMA foreign_keys = ON";
    }
    is_open = true;
  }

  void run(const Work& work) {
    const std::lock_guard lock(mutex);
    const std::string name = without_password(where);
    try {
      if (!is_open) open();
      work(sql);
    } catch (const soci::sqlite3_soci_error& error) {
      if (error.result() == io_error) close_for_good();
      throw translate_sqlite(error.result(), {name + ": " + error.get_error_message()});
    } catch (const soci::soci_error& error) {
      close_if_lost(error);
      throw Error("the catalog's database cannot be used", server ? "is the server up, and is the URL right?" : "",
                  {name + ": " + error.get_error_message()});
    } catch (const nlohmann::json::exception& error) {
      throw Error("the catalog's records are damaged", "restore them from a backup", {name + ": " + error.what()});
    }
  }

  void run_transaction(const Work& work) {
    run([&](soci::session& s) {
      s << (server ? "BEGIN" : "BEGIN IMMEDIATE");
      try {
        if (server) s << take_turns;
        work(s);
        s << "COMMIT";
      } catch (...) {
        try {
          s << "ROLLBACK";
        } catch (const soci::soci_error&) {
          // SQLite has rolled back by itself, as it does when the disk is full; a lost connection has, too
        }
        throw;
      }
    });
  }

  /// An fsync that failed is not tried again on its descriptor: it might succeed, and the data be lost all the same.
  void close_for_good() noexcept {
    auto* backend = static_cast<soci::sqlite3_session_backend*>(sql.get_backend());
    // Closing would move the log into the database, with an fsync of the same descriptor.
    if (backend != nullptr) sqlite_api::sqlite3_db_config(backend->conn_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    is_open = false;
    try {
      sql.close();
    } catch (const std::exception&) {  // it is of no use any longer
    }
  }

  /// A server that was restarted is connected to again by the next call.
  void close_if_lost(const soci::soci_error& error) noexcept {
    if (!is_open || error.get_error_category() != soci::soci_error::connection_error) return;
    is_open = false;
    try {
      sql.close();
    } catch (const std::exception&) {  // it was lost all the same
    }
  }

  std::string where;
  bool server, is_open = false;
  std::mutex mutex;
  soci::session sql;
};

Login login_of(const std::string& where) {
  Database::State server(where);
  Login login;
  server.run([&](soci::session& sql) {
    int owns = 0;
    sql << "SELECT CURRENT_USER, CASE WHEN pg_get_userbyid(datdba) = CURRENT_USER THEN 1 ELSE 0 END"
           " FROM pg_database WHERE datname = CURRENT_DATABASE()",
        soci::into(login.user), soci::into(owns);
    login.is_owner = owns != 0;
  });
  return login;
}

Database::Database(const std::string& where) : state_(std::make_unique<State>(where)) {
  bool current = false;
  state_->run([&](soci::session& sql) { current = schema_is_current(sql); });
  if (current) return;
  // Each step looks anew where the records are: another process may have made it before this transaction began.
  state_->run_transaction([](soci::session& sql) {
    while (migrate_one_step(sql)) {
    }
  });
}

Database::~Database() = default;

void Database::run(const Work& work) const {
  state_->run(work);
}

void Database::run_transaction(const Work& work) const {
  state_->run_transaction(work);
}

}  // namespace kiln

#pragma once
// The SQL database of a catalog: SQLite in a file of its own, or PostgreSQL when several machines share one catalog.
//
// One text of SQL serves both. SQLite runs in WAL mode with synchronous=FULL and foreign keys on. A writing transaction
// takes the right to write at its start (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so writers take turns,
// what a transaction has read stays true until its end, and none ever has to be repeated.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace soci {
class session;
}

namespace kiln {

/// One connection. Any thread may use it; they take turns. Errors of the database arrive as kiln::Error.
class Database {
 public:
  /// `where`: "postgresql://user@host/name", or the path of a SQLite file, which is made when it is not there. Brings
  /// older records up to the schema of this program; refuses those of a newer one.
  explicit Database(const std::string& where);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  /// Runs f(session) and returns what it returns.
  template <class F>
  auto read(F&& f) const {
    return with_result(f, [this](const Work& work) { run(work); });
  }
  /// The same as one transaction, which ends with f and is undone when f throws.
  template <class F>
  auto write(F&& f) {
    return with_result(f, [this](const Work& work) { run_transaction(work); });
  }

 private:
  using Work = std::function<void(soci::session&)>;
  struct State;
  friend struct Login login_of(const std::string&);

  template <class F, class Run>
  static auto with_result(F& f, const Run& run) {
    using Result = std::invoke_result_t<F&, soci::session&>;
    if constexpr (std::is_void_v<Result>) {
      run([&](soci::session& sql) { f(sql); });
    } else {
      std::optional<Result> result;
      run([&](soci::session& sql) { result.emplace(f(sql)); });
      return std::move(*result);
    }
  }
  void run(const Work&) const;
  void run_transaction(const Work&) const;

  std::unique_ptr<State> state_;
};

/// Whether a catalog's address names a server rather than a file.
bool is_server(std::string_view where);

/// As whom a server knows whoever uses its address, and whether that is the owner of the database, its operator.
struct Login {
  std::string user;
  bool is_owner = false;
};
/// Asks the server. Throws Error when it does not answer, or does not let the user in.
Login login_of(const std::string& where);

}  // namespace kiln

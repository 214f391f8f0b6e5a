#pragma once
// The guest's accounts, as its four files hold them: passwd(5), shadow(5), group(5), gshadow(5). They are edited here
// and not by the guest's useradd: it works for a guest of any architecture, and the same input makes the same bytes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/guest.h>

namespace kiln::customize {

/// One of the files: lines of fields between colons. Lines that are not understood are kept as they are.
class AccountFile {
 public:
  AccountFile() = default;
  explicit AccountFile(std::string_view text);

  using Row = std::vector<std::string>;
  Row* find(std::string_view name);
  const std::vector<Row>& rows() const { return rows_; }
  void add(Row row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<Row> rows_;
};

struct Account {
  std::string name, home;
  std::int64_t uid = 0, gid = 0;
};

/// Reads the files at construction, writes those that changed in save().
class Accounts {
 public:
  explicit Accounts(Guest&);

  std::optional<Account> find(const std::string& name);
  /// A new account with a group of its own and without a password.
  Account add(const std::string& name, std::optional<std::int64_t> uid, const std::string& home,
              const std::string& shell);
  /// `hash` as shadow(5) holds it.
  void set_password(const std::string& user, const std::string& hash);
  void join(const std::string& user, const std::string& group);
  /// A name or a number. Throws Error for a name that the guest does not know.
  std::int64_t uid_of(const std::string& user);
  std::int64_t gid_of(const std::string& group);
  void save();

 private:
  struct File {
    std::string path;
    std::string original;
    AccountFile content;
    bool there = false;
  };
  static File load(Guest&, const std::string& path);
  void save(const File&);
  std::int64_t free_id(std::int64_t from) const;

  Guest& guest_;
  File passwd_, shadow_, group_, gshadow_;
};

/// What shadow(5) is to hold: a hash as it is, or SHA-512 crypt of a plain text with a fresh salt.
std::string password_hash(const std::string& password);

}  // namespace kiln::customize

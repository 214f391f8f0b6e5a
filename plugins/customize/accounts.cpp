#include "accounts.h"

#include <crypt.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace kiln::customize {
namespace {

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (std::size_t end; (end = text.find(at)) != std::string_view::npos; text.remove_prefix(end + 1))
    parts.emplace_back(text.substr(0, end));
  parts.emplace_back(text);
  return parts;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

bool has_member(const std::string& members, const std::string& user) {
  const std::vector<std::string> all = split(members, ',');
  return std::ranges::find(all, user) != all.end();
}

void add_member(AccountFile::Row* row, const std::string& user) {
  if (row == nullptr || row->size() < 4 || has_member((*row)[3], user)) return;
  (*row)[3] += ((*row)[3].empty() ? "" : ",") + user;
}

}  // namespace

AccountFile::AccountFile(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty()) return;
  for (const std::string& line : split(text, '\n')) rows_.push_back(split(line, ':'));
}

AccountFile::Row* AccountFile::find(std::string_view name) {
  const auto it = std::ranges::find_if(rows_, [&](const Row& row) { return row[0] == name; });
  return it == rows_.end() ? nullptr : &*it;
}

std::string AccountFile::text() const {
  std::string all;
  for (const Row& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) all += (i == 0 ? "" : ":") + row[i];
    all += '\n';
  }
  return all;
}

Accounts::Accounts(Guest& guest)
    : guest_(guest),
      passwd_(load(guest, "/etc/passwd")),
      shadow_(load(guest, "/etc/shadow")),
      group_(load(guest, "/etc/group")),
      gshadow_(load(guest, "/etc/gshadow")) {}

Accounts::File Accounts::load(Guest& guest, const std::string& path) {
  File file{path, {}, {}, guest.exists(path)};
  if (file.there) file.original = guest.read(path, 4u << 20);
  file.content = AccountFile(file.original);
  return file;
}

std::optional<Account> Accounts::find(const std::string& name) {
  const AccountFile::Row* row = passwd_.content.find(name);
  if (row == nullptr || row->size() < 7) return std::nullopt;
  const auto uid = number((*row)[2]), gid = number((*row)[3]);
  if (!uid || !gid) throw Error("the guest's /etc/passwd is damaged: the entry of \"" + name + "\" has no number");
  return Account{name, (*row)[5], *uid, *gid};
}

// A number that is neither a user nor a group, so that both get the same one.
std::int64_t Accounts::free_id(std::int64_t from) const {
  const auto taken = [&](const AccountFile& file, std::int64_t id) {
    return std::ranges::any_of(file.rows(), [&](const auto& row) { return row.size() > 2 && number(row[2]) == id; });
  };
  while (taken(passwd_.content, from) || taken(group_.content, from)) ++from;
  return from;
}

Account Accounts::add(const std::string& name, std::optional<std::int64_t> uid, const std::string& home,
                      const std::string& shell) {
  if (!passwd_.there) throw Error("the guest has no /etc/passwd to add \"" + name + "\" to");
  if (uid)
    for (const auto& row : passwd_.content.rows())
      if (row.size() > 2 && number(row[2]) == uid)
        throw Error("the guest already gives uid " + std::to_string(*uid) + " to \"" + row[0] + "\"",
                    "choose another uid for \"" + name + "\", or leave it out");
  const std::int64_t id = uid ? *uid : free_id(1000);
  std::int64_t gid = id;
  if (const AccountFile::Row* own = group_.content.find(name); own != nullptr && own->size() > 2) {
    gid = number((*own)[2]).value_or(id);
  } else {
    gid = free_id(id);
    group_.content.add({name, "x", std::to_string(gid), ""});
    gshadow_.content.add({name, "!", "", ""});
  }
  passwd_.content.add({name, "x", std::to_string(id), std::to_string(gid), "", home, shell});
  // An empty day of the last change switches ageing off, and does not depend on today.
  if (shadow_.content.find(name) == nullptr) shadow_.content.add({name, "!", "", "0", "99999", "7", "", "", ""});
  return {name, home, id, gid};
}

void Accounts::set_password(const std::string& user, const std::string& hash) {
  AccountFile::Row* account = passwd_.content.find(user);
  if (account == nullptr || account->size() < 2)
    throw Error("the guest has no user \"" + user + "\" to give a password to", "make it with users = [{ name = … }]");
  (*account)[1] = "x";
  if (AccountFile::Row* row = shadow_.content.find(user); row != nullptr && row->size() > 1)
    (*row)[1] = hash;
  else
    shadow_.content.add({user, hash, "", "0", "99999", "7", "", "", ""});
}

void Accounts::join(const std::string& user, const std::string& group) {
  AccountFile::Row* row = group_.content.find(group);
  if (row == nullptr)
    throw Error("the guest has no group \"" + group + "\" for \"" + user + "\" to join",
                "make it first, in a customize stage of its own: run = [\"groupadd " + group + "\"]");
  add_member(row, user);
  add_member(gshadow_.content.find(group), user);
}

std::int64_t Accounts::uid_of(const std::string& user) {
  if (const auto id = number(user)) return *id;
  if (const auto account = find(user)) return account->uid;
  throw Error("the guest has no user \"" + user + "\"");
}

std::int64_t Accounts::gid_of(const std::string& group) {
  if (const auto id = number(group)) return *id;
  const AccountFile::Row* row = group_.content.find(group);
  const auto id = row != nullptr && row->size() > 2 ? number((*row)[2]) : std::nullopt;
  if (!id) throw Error("the guest has no group \"" + group + "\"");
  return *id;
}

void Accounts::save() {
  for (const File* file : {&passwd_, &group_, &shadow_, &gshadow_}) save(*file);
}

void Accounts::save(const File& file) {
  const std::string text = file.content.text();
  // gshadow is optional; where it is not kept it is not begun. Without shadow a password would be lost.
  if (text == file.original || (!file.there && &file == &gshadow_)) return;
  guest_.write(file.path, text);
  if (!file.there) guest_.chmod(file.path, &file == &shadow_ ? 0600 : 0644);
}

std::string password_hash(const std::string& password) {
  if (password.starts_with('$') || password.starts_with('!') || password == "*") return password;
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  // SHA-512 and not yescrypt: guests from before 2019 must be able to check it.
  if (::crypt_gensalt_rn("$6$", 0, nullptr, 0, setting, sizeof setting) == nullptr)
    throw Error("libcrypt cannot make a salt");
  const auto data = std::make_unique<crypt_data>();
  const char* hash = ::crypt_r(password.c_str(), setting, data.get());
  if (hash == nullptr || hash[0] == '*') throw Error("libcrypt cannot hash a password");
  return hash;
}

}  // namespace kiln::customize

#pragma once
// What a pipeline may ask of customize. Every path without "host" in its name is the guest's.

#include <optional>
#include <string>
#include <vector>

#include <kiln/param.h>

namespace kiln::customize {

/// An account. One that exists is changed, not made anew.
struct User {
  std::string name;
  std::vector<std::string> ssh_keys;
  std::vector<InputPath> ssh_key_files;
  std::vector<std::string> groups;
  std::string password;
  std::string shell = "/bin/bash";
  bool sudo = false;
  std::optional<std::int64_t> uid;
  std::string home;
  static const Schema<User>& schema();
};

struct Password {
  std::string user;
  std::string password;  ///< plain, or a hash as crypt(5) writes it: "$6$…", or "*" and "!" to lock
  static const Schema<Password>& schema();
};

/// A file whose content is given, or uploaded from the host.
struct NewFile {
  std::string path;
  std::optional<std::string> content;
  std::optional<InputPath> source;
  std::string mode;  ///< octal; empty: a new file has 0644, one that exists keeps its own
  std::string owner, group;
  static const Schema<NewFile>& schema();
};

struct Copy {
  InputPath source;
  std::string to;  ///< a folder, made when it is not there
  static const Schema<Copy>& schema();
};

struct Link {
  std::string path, target;
  static const Schema<Link>& schema();
};

struct Mode {
  std::string path, mode;
  static const Schema<Mode>& schema();
};

struct Owner {
  std::string path, owner, group;
  static const Schema<Owner>& schema();
};

struct Services {
  std::vector<std::string> enable, disable;
  static const Schema<Services>& schema();
};

struct Params {
  std::string hostname, timezone;
  std::vector<User> users;
  std::vector<Password> passwords;
  std::vector<std::string> mkdir;
  std::vector<Copy> copy_in;
  std::vector<NewFile> files;
  std::vector<Link> link;
  std::vector<Owner> chown;
  std::vector<Mode> chmod;
  std::vector<InputPath> scripts;
  std::vector<std::string> run;
  Services services;
  std::vector<std::string> remove;
  static const Schema<Params>& schema();
};

/// Octal text of at most four digits.
std::optional<unsigned> parse_mode(const std::string& text);
/// Whether the text is a public key line of OpenSSH: "ssh-ed25519 AAAA… comment".
bool is_key_line(const std::string& text);
/// The public key lines of a file: one to a line, empty lines and comments left out. Throws Error for anything else.
std::vector<std::string> key_lines(const std::filesystem::path& file);

}  // namespace kiln::customize

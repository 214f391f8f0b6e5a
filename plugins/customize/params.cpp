#include "params.h"

#include <algorithm>
#include <array>
#include <sstream>

#include <kiln/file.h>

namespace kiln::customize {

const Schema<User>& User::schema() {
  static const Schema<User> s{
      {"name", &User::name, "Login name.", required},
      {"ssh_keys", &User::ssh_keys, "Public key lines, added to the account's authorized_keys."},
      {"ssh_key_files", &User::ssh_key_files, "Files of the host with public key lines."},
      {"groups", &User::groups, "Groups to join, beside the account's own. They must exist in the guest."},
      {"password", &User::password, "Plain text, or a hash such as \"$6$…\". Without one, password login is locked.",
       secret},
      {"shell", &User::shell, "Login shell of a new account."},
      {"sudo", &User::sudo, "May run everything by sudo without a password."},
      {"uid", &User::uid, "Number of a new account; default: the next free one from 1000."},
      {"home", &User::home, "Home folder of a new account; default: /home/NAME."}};
  return s;
}

const Schema<Password>& Password::schema() {
  static const Schema<Password> s{
      {"user", &Password::user, "An account that exists in the guest.", required},
      {"password", &Password::password, "Plain text, a hash such as \"$6$…\", or \"!\" to lock.", secret}};
  return s;
}

const Schema<NewFile>& NewFile::schema() {
  static const Schema<NewFile> s{
      {"path", &NewFile::path, "Where it goes. Its folder is made when it is not there.", required},
      {"content", &NewFile::content, "The whole content."},
      {"source", &NewFile::source, "A file of the host, instead of content."},
      {"mode", &NewFile::mode, "Octal; default: 0644, or what the file has."},
      {"owner", &NewFile::owner, "A user of the guest, by name or number."},
      {"group", &NewFile::group, "A group of the guest, by name or number."}};
  return s;
}

const Schema<Copy>& Copy::schema() {
  static const Schema<Copy> s{
      {"source", &Copy::source, "A file or a folder of the host. All of it will belong to root.", required},
      {"to", &Copy::to, "The folder to put it in.", required}};
  return s;
}

const Schema<Link>& Link::schema() {
  static const Schema<Link> s{{"path", &Link::path, "The symbolic link. What is there is replaced.", required},
                              {"target", &Link::target, "What it points to.", required}};
  return s;
}

const Schema<Mode>& Mode::schema() {
  static const Schema<Mode> s{{"path", &Mode::path, "A file or a folder.", required},
                              {"mode", &Mode::mode, "Octal, for example \"0750\".", required}};
  return s;
}

const Schema<Owner>& Owner::schema() {
  static const Schema<Owner> s{{"path", &Owner::path, "A file or a folder.", required},
                               {"owner", &Owner::owner, "A user, by name or number."},
                               {"group", &Owner::group, "A group, by name or number."}};
  return s;
}

const Schema<Services>& Services::schema() {
  static const Schema<Services> s{{"enable", &Services::enable, "Units to start at boot."},
                                  {"disable", &Services::disable, "Units not to start at boot."}};
  return s;
}

const Schema<Params>& Params::schema() {
  static const Schema<Params> s{
      {"hostname", &Params::hostname, "The machine's name."},
      {"timezone", &Params::timezone, "For example \"Europe/Berlin\"."},
      {"users", &Params::users, "Accounts to make or to change."},
      {"passwords", &Params::passwords, "Passwords of accounts that exist, root for example."},
      {"mkdir", &Params::mkdir, "Folders to make, with their parents."},
      {"copy_in", &Params::copy_in, "Files and folders of the host to copy in."},
      {"files", &Params::files, "Files to write or to upload."},
      {"link", &Params::link, "Symbolic links."},
      {"chown", &Params::chown, "Owners to set."},
      {"chmod", &Params::chmod, "Modes to set."},
      {"scripts", &Params::scripts, "Scripts of the host to run in the guest, each by its own first line (#!)."},
      {"run", &Params::run, "Shell command lines to run in the guest, as root, without network."},
      {"services", &Params::services, "What starts at boot."},
      {"delete", &Params::remove, "Files and folders to delete; * and ? stand for names."}};
  return s;
}

std::optional<unsigned> parse_mode(const std::string& text) {
  if (text.size() < 3 || text.size() > 4) return std::nullopt;
  unsigned mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return std::nullopt;
    mode = mode * 8 + static_cast<unsigned>(c - '0');
  }
  return mode;
}

bool is_key_line(const std::string& text) {
  // The names of sshd(8), AUTHORIZED_KEYS FILE FORMAT.
  static constexpr std::array<std::string_view, 8> types{"ssh-ed25519",
                                                         "ssh-rsa",
                                                         "ssh-dss",
                                                         "ecdsa-sha2-nistp256",
                                                         "ecdsa-sha2-nistp384",
                                                         "ecdsa-sha2-nistp521",
                                                         "sk-ssh-ed25519@openssh.com",
                                                         "sk-ecdsa-sha2-nistp256@openssh.com"};
  std::istringstream in(text);
  std::string type, key;
  in >> type >> key;
  return text.find_first_of("\n\r") == std::string::npos && std::ranges::find(types, type) != types.end() &&
         key.starts_with("AAAA");
}

std::vector<std::string> key_lines(const std::filesystem::path& file) {
  std::vector<std::string> keys;
  std::istringstream in(read_text(file, 64 * 1024));
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line.starts_with('#')) continue;
    if (!is_key_line(line))
      throw Error("not a file of public SSH keys: " + file.string(),
                  line.find("PRIVATE KEY") != std::string::npos
                      ? "this is the private key; name the file that ends in .pub"
                      : "name the file that ends in .pub");
    keys.push_back(line);
  }
  return keys;
}

}  // namespace kiln::customize

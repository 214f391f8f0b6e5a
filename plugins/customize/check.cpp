#include "check.h"

#include <algorithm>

namespace kiln::customize {
namespace {

bool all_of(std::string_view text, std::string_view extra) {
  return std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           extra.find(c) != std::string_view::npos;
  });
}

/// Labels of RFC 1123; 64 characters is what the kernel keeps (HOST_NAME_MAX).
bool is_hostname(const std::string& name) {
  if (name.size() > 64 || !all_of(name, "-.")) return false;
  std::size_t at = 0;
  while (at <= name.size()) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    const std::string label = name.substr(at, end - at);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    at = end + 1;
  }
  return true;
}

/// As useradd(8) of Debian and Red Hat both take them.
bool is_account_name(const std::string& name) {
  if (name.empty() || name.size() > 32 || !all_of(name, "_-")) return false;
  return (name[0] >= 'a' && name[0] <= 'z') || name[0] == '_';
}

bool is_clean_path(const std::string& path) {
  if (!path.starts_with('/') || path.find('\0') != std::string::npos || path.find('\n') != std::string::npos)
    return false;
  return ("/" + path + "/").find("/../") == std::string::npos;
}

/// Reports to one place, so that the texts are the same everywhere.
class Checking {
 public:
  Checking(const Params& params, Check& check) : p_(params), c_(check) {}

  void all() {
    machine();
    for (std::size_t i = 0; i < p_.users.size(); ++i) user(p_.users[i], at("users", i));
    for (std::size_t i = 0; i < p_.passwords.size(); ++i) {
      account(p_.passwords[i].user, at("passwords", i) + ".user");
      password(p_.passwords[i].password, at("passwords", i) + ".password");
      if (p_.passwords[i].password.empty()) c_.problem(at("passwords", i) + ".password", "the password is empty");
    }
    for (std::size_t i = 0; i < p_.files.size(); ++i) file(p_.files[i], at("files", i));
    paths();
    commands();
  }

 private:
  static std::string at(const std::string& list, std::size_t i) { return list + '[' + std::to_string(i) + ']'; }

  void path(const std::string& text, const std::string& param) {
    if (!is_clean_path(text))
      c_.problem(param, "not an absolute path in the guest: \"" + text + "\"", "it starts with / and has no .. in it");
  }
  void mode(const std::string& text, const std::string& param) {
    if (!parse_mode(text)) c_.problem(param, "not an octal mode: \"" + text + "\"", "for example \"0644\"");
  }
  void account(const std::string& name, const std::string& param) {
    if (!is_account_name(name))
      c_.problem(param, "not a login name: \"" + name + "\"", "lower case letters, digits, - and _, at most 32");
  }
  /// A user or a group, by name or by number.
  void owner(const std::string& name, const std::string& param) {
    const bool number = !name.empty() && name.size() < 11 && name.find_first_not_of("0123456789") == std::string::npos;
    if (!name.empty() && !number) account(name, param);
  }
  void password(const std::string& text, const std::string& param) {
    const bool hash = text.starts_with('$') || text.starts_with('!') || text == "*";
    if (text.find_first_of("\n\r") != std::string::npos || (hash && text.find(':') != std::string::npos))
      c_.problem(param, "the password holds a character that a password cannot have");
  }

  void machine() {
    if (!p_.hostname.empty() && !is_hostname(p_.hostname))
      c_.problem("hostname", "not a host name: \"" + p_.hostname + "\"", "letters, digits, - and ., at most 64");
    const std::string& zone = p_.timezone;
    if (!zone.empty() && (zone.starts_with('/') || !all_of(zone, "/_+-") || zone.ends_with('/')))
      c_.problem("timezone", "not a time zone: \"" + zone + "\"", "for example \"Europe/Berlin\" or \"UTC\"");
  }

  void user(const User& u, const std::string& param) {
    account(u.name, param + ".name");
    for (std::size_t i = 0; i < u.ssh_keys.size(); ++i)
      if (!is_key_line(u.ssh_keys[i]))
        c_.problem(param + ".ssh_keys[" + std::to_string(i) + "]", "not a public SSH key line",
                   "a line such as \"ssh-ed25519 AAAA… me\"; to name a file use ssh_key_files = [\"me.pub\"]");
    for (std::size_t i = 0; i < u.groups.size(); ++i)
      account(u.groups[i], param + ".groups[" + std::to_string(i) + "]");
    password(u.password, param + ".password");
    path(u.shell, param + ".shell");
    if (!u.home.empty()) path(u.home, param + ".home");
    if (u.home.find(':') != std::string::npos || u.shell.find(':') != std::string::npos)
      c_.problem(param, "a home or a shell cannot have a colon");
    if (u.uid && (*u.uid < 0 || *u.uid > 0xfffffffe)) c_.problem(param + ".uid", "not a user number");
  }

  void file(const NewFile& f, const std::string& param) {
    path(f.path, param + ".path");
    if (f.path.ends_with('/')) c_.problem(param + ".path", "the path of a file ends in /");
    if (f.content.has_value() == f.source.has_value())
      c_.problem(param, f.content ? "both content and source" : "neither content nor source",
                 "content holds the text itself, source names a file of the host");
    if (!f.mode.empty()) mode(f.mode, param + ".mode");
    owner(f.owner, param + ".owner");
    owner(f.group, param + ".group");
  }

  void paths() {
    for (std::size_t i = 0; i < p_.mkdir.size(); ++i) path(p_.mkdir[i], at("mkdir", i));
    for (std::size_t i = 0; i < p_.copy_in.size(); ++i) path(p_.copy_in[i].to, at("copy_in", i) + ".to");
    for (std::size_t i = 0; i < p_.link.size(); ++i) {
      path(p_.link[i].path, at("link", i) + ".path");
      if (p_.link[i].target.empty()) c_.problem(at("link", i) + ".target", "the target is empty");
    }
    for (std::size_t i = 0; i < p_.chmod.size(); ++i) {
      path(p_.chmod[i].path, at("chmod", i) + ".path");
      mode(p_.chmod[i].mode, at("chmod", i) + ".mode");
    }
    for (std::size_t i = 0; i < p_.chown.size(); ++i) {
      path(p_.chown[i].path, at("chown", i) + ".path");
      owner(p_.chown[i].owner, at("chown", i) + ".owner");
      owner(p_.chown[i].group, at("chown", i) + ".group");
      if (p_.chown[i].owner.empty() && p_.chown[i].group.empty()) c_.problem(at("chown", i), "neither owner nor group");
    }
    for (std::size_t i = 0; i < p_.remove.size(); ++i) {
      path(p_.remove[i], at("delete", i));
      if (p_.remove[i].find_first_not_of("/*?.") == std::string::npos)
        c_.problem(at("delete", i), "this would delete the whole guest");
    }
  }

  void commands() {
    for (std::size_t i = 0; i < p_.run.size(); ++i)
      if (p_.run[i].find_first_not_of(" \t\n") == std::string::npos) c_.problem(at("run", i), "the command is empty");
    for (const auto& [list, units] :
         {std::pair("services.enable", &p_.services.enable), std::pair("services.disable", &p_.services.disable)})
      for (std::size_t i = 0; i < units->size(); ++i)
        if ((*units)[i].empty() || (*units)[i][0] == '-' || !all_of((*units)[i], "@-_.:\\"))
          c_.problem(at(list, i), "not the name of a unit: \"" + (*units)[i] + "\"", "for example \"nginx\"");
  }

  const Params& p_;
  Check& c_;
};

}  // namespace

void check_params(const Params& params, Check& check) {
  Checking(params, check).all();
}

}  // namespace kiln::customize

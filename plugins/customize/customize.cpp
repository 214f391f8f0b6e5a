// Edits files and accounts of the guest, in a fixed order that the README states.
#include <kiln/file.h>
#include <kiln/plugin.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "accounts.h"
#include "check.h"
#include "params.h"

namespace kiln::customize {
namespace {

/// One run of the stage: a list of operations is made first, so that progress knows the total.
class Work {
 public:
  Work(Context& ctx, const Params& params) : ctx_(ctx), p_(params), g_(ctx.guest()) {}

  void run() {
    plan();
    g_.exists("/");  // starts the appliance and mounts, before the first operation is counted
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const auto& [what, act] = operations_[i];
      ctx_.progress(
          {Progress::Unit::operations, static_cast<double>(i), static_cast<double>(operations_.size()), what});
      ctx_.log(what);
      act();
    }
    relabel_at_boot(g_);
    const auto count = [](std::size_t n, const char* one) {
      return std::to_string(n) + ' ' + one + (n == 1 ? "" : "s");
    };
    ctx_.summary(count(operations_.size(), "operation") + (files_ == 0 ? "" : ", " + count(files_, "file")));
  }

 private:
  void plan() {
    if (!p_.hostname.empty()) add("hostname " + p_.hostname, [this] { hostname(); });
    if (!p_.timezone.empty()) add("timezone " + p_.timezone, [this] { timezone(); });
    for (const User& u : p_.users) add("user " + u.name, [this, &u] { user(u); });
    for (const Password& w : p_.passwords) add("password of " + w.user, [this, &w] { password(w); });
    for (const std::string& path : p_.mkdir) add("mkdir " + path, [this, &path] { g_.make_directory(path); });
    for (const Copy& copy : p_.copy_in)
      add("copy in " + copy.source.path.filename().string(), [this, &copy] {
        g_.make_directory(copy.to);
        g_.copy_in(copy.source.path, copy.to);
      });
    for (const NewFile& f : p_.files) add("write " + f.path, [this, &f] { file(f); });
    for (const Link& l : p_.link) add("link " + l.path, [this, &l] { g_.link(l.target, l.path); });
    // The kernel takes set-uid bits away when the owner changes, so modes come second.
    for (const Owner& o : p_.chown) add("chown " + o.path, [this, &o] { own(o.path, o.owner, o.group); });
    for (const Mode& m : p_.chmod) add("chmod " + m.path, [this, &m] { g_.chmod(m.path, *parse_mode(m.mode)); });
    for (const InputPath& s : p_.scripts) add("script " + s.path.filename().string(), [this, &s] { script(s); });
    for (const std::string& line : p_.run)
      add("run " + line.substr(0, line.find('\n')), [this, &line] { g_.run(line); });
    services("enable", p_.services.enable);
    services("disable", p_.services.disable);
    for (const std::string& pattern : p_.remove) add("delete " + pattern, [this, &pattern] { remove(pattern); });
  }

  void add(std::string what, std::function<void()> act) { operations_.emplace_back(std::move(what), std::move(act)); }

  /// A file of its own in this place, even when a link to somewhere else was there.
  void replace(const std::string& path, const std::string& content) {
    g_.remove(path);
    g_.write(path, content);
    g_.chmod(path, 0644);
  }

  void hostname() {
    set_hostname(g_, p_.hostname);
    ctx_.facts()["os.hostname"] = p_.hostname;
  }

  void timezone() {
    const std::string zone = "/usr/share/zoneinfo/" + p_.timezone;
    if (!g_.is_file(zone))
      throw Error("the guest does not know the time zone \"" + p_.timezone + "\"",
                  "look below /usr/share/zoneinfo in the guest; it may lack the package tzdata");
    g_.link(".." + zone, "/etc/localtime");
    if (g_.exists("/etc/timezone") || g_.exists("/etc/debian_version")) replace("/etc/timezone", p_.timezone + "\n");
  }

  void user(const User& u) {
    Accounts accounts(g_);
    std::optional<Account> account = accounts.find(u.name);
    if (account && u.uid && *u.uid != account->uid)
      throw Error("the guest's user \"" + u.name + "\" has the uid " + std::to_string(account->uid) + ", not " +
                      std::to_string(*u.uid),
                  "a number is not changed, because files would lose their owner");
    if (!account) account = accounts.add(u.name, u.uid, u.home.empty() ? "/home/" + u.name : u.home, u.shell);
    for (const std::string& group : u.groups) accounts.join(u.name, group);
    if (!u.password.empty()) accounts.set_password(u.name, password_hash(u.password));
    accounts.save();
    if (!g_.is_directory(account->home)) make_home(*account);
    keys(u, *account);
    if (!u.sudo) return;
    // sudo skips files whose names have a dot; account names have none.
    const std::string rule = "/etc/sudoers.d/kiln-" + u.name;
    g_.make_directory("/etc/sudoers.d");
    replace(rule, u.name + " ALL=(ALL:ALL) NOPASSWD: ALL\n");
    g_.chmod(rule, 0440);
    if (!g_.exists("/usr/bin/sudo")) ctx_.warn("\"" + u.name + "\" may use sudo, but the guest has no sudo");
  }

  void make_home(const Account& account) {
    const std::size_t slash = account.home.rfind('/');
    if (slash != 0) g_.make_directory(account.home.substr(0, slash));
    if (g_.is_directory("/etc/skel"))
      g_.call({"cp-a", "/etc/skel", account.home});
    else
      g_.make_directory(account.home);
    const std::string uid = std::to_string(account.uid), gid = std::to_string(account.gid);
    std::istringstream below(g_.call({"find", account.home}));
    g_.call({"lchown", uid, gid, account.home});
    for (std::string name; std::getline(below, name);) g_.call({"lchown", uid, gid, account.home + "/" + name});
    g_.chmod(account.home, 0700);
  }

  void keys(const User& u, const Account& account) {
    std::vector<std::string> wanted = u.ssh_keys;
    for (const InputPath& file : u.ssh_key_files)
      for (std::string& key : key_lines(file.path)) wanted.push_back(std::move(key));
    if (wanted.empty()) return;
    const std::string folder = account.home + "/.ssh", path = folder + "/authorized_keys";
    g_.make_directory(folder);
    std::string text = g_.exists(path) ? g_.read(path, 1u << 20) : std::string();
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    for (const std::string& key : wanted)
      if (("\n" + text).find("\n" + key + "\n") == std::string::npos) text += key + "\n";
    g_.write(path, text);
    for (const auto& [name, mode] : {std::pair(&folder, 0700u), std::pair(&path, 0600u)}) {
      g_.chown(*name, account.uid, account.gid);
      g_.chmod(*name, mode);
    }
  }

  void password(const Password& w) {
    Accounts accounts(g_);
    accounts.set_password(w.user, password_hash(w.password));
    accounts.save();
  }

  void own(const std::string& path, const std::string& owner, const std::string& group) {
    if (owner.empty() && group.empty()) return;
    Accounts accounts(g_);
    // -1 leaves it as it is.
    g_.chown(path, owner.empty() ? -1 : accounts.uid_of(owner), group.empty() ? -1 : accounts.gid_of(group));
  }

  void file(const NewFile& f) {
    if (const std::size_t slash = f.path.rfind('/'); slash > 0) g_.make_directory(f.path.substr(0, slash));
    const bool fresh = !g_.exists(f.path);
    if (f.content)
      g_.write(f.path, *f.content);
    else
      g_.upload(f.source->path, f.path);
    own(f.path, f.owner, f.group);
    if (!f.mode.empty() || fresh) g_.chmod(f.path, parse_mode(f.mode).value_or(0644));
    ++files_;
  }

  void script(const InputPath& s) {
    const std::string path = (g_.is_directory("/tmp") ? "/tmp/" : "/") + std::string(".kiln-script");
    g_.remove(path);
    g_.upload(s.path, path);
    g_.chmod(path, 0700);
    g_.run(path);
    g_.remove(path);
  }

  void services(const std::string& verb, const std::vector<std::string>& units) {
    if (units.empty()) return;
    std::string command = "systemctl " + verb;
    for (const std::string& unit : units) command += " '" + unit + "'";
    add(command, [this, command] { g_.run(command); });
  }

  void remove(const std::string& pattern) {
    if (pattern.find_first_of("*?[") == std::string::npos) return g_.remove(pattern);
    for (const std::string& path : g_.glob(pattern)) g_.remove(path);
  }

  Context& ctx_;
  const Params& p_;
  Guest& g_;
  std::vector<std::pair<std::string, std::function<void()>>> operations_;
  std::size_t files_ = 0;
};

class Customize final : public StageOf<Params> {
 public:
  Customize()
      : StageOf({.name = "customize", .summary = "Edit the guest: name, accounts, files, services, commands."},
                Params::schema()) {}

 protected:
  void check(const Params& p, Check& c) const override { check_params(p, c); }
  /// What is copied in keeps its name, and the key knows a file by its content only.
  std::string fingerprint(const Params& p) const override {
    std::string names;
    for (const Copy& copy : p.copy_in) {
      std::error_code missing;
      const auto real = std::filesystem::canonical(copy.source.path, missing);
      names += (missing ? copy.source.path : real).filename().string() + '\n';
    }
    return names;
  }
  void run(Context& ctx, const Params& p) const override { Work(ctx, p).run(); }
};

}  // namespace
}  // namespace kiln::customize

KILN_STAGE(kiln::customize::Customize)

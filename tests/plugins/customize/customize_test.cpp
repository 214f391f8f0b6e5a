// One appliance for all of it: starting one takes seconds.
#include <crypt.h>
#include <gmock/gmock.h>

#include <memory>

#include <kiln/file.h>

#include "guest/stage_context.h"
#include "guest/tiny_guest.h"
#include "support/plugins.h"
#include "support/temp.h"
#include "support/values.h"

namespace kiln {
namespace {

using test::list;
using test::number;
using test::table;
using test::text;
using test::texts;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO me@home";
constexpr const char* key2 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP you@home";
constexpr const char* secret = "correct horse battery staple";

const Stage& customize() {
  return test::load_stage("customize");
}

void make_root(const test::TempDir& dir) {
  test::make_tiny_root(dir / "root");
  write_text(dir / "root/bin/systemctl", "#!/bin/sh\necho \"$@\" >>/systemctl.log\n");
  std::filesystem::permissions(dir / "root/bin/systemctl", std::filesystem::perms(0755));
  std::filesystem::create_symlink("/etc/passwd", dir / "root/etc/motd");
  // Whoever reaches /etc/hostname through this link would change the accounts.
  std::filesystem::remove(dir / "root/etc/hostname");
  std::filesystem::create_symlink("/etc/passwd", dir / "root/etc/hostname");
  write_text(dir / "root/root/a.tmp", "x");
}

Table everything(const test::TempDir& dir) {
  write_text(dir / "deploy.pub", std::string("# mine\n") + key2 + "\n");
  write_text(dir / "upload.bin", "uploaded");
  write_text(dir / "setup", "#!/bin/sh\necho \"script $0\" >/script.log\n");
  std::filesystem::create_directories(dir / "site/css");
  write_text(dir / "site/css/a.css", "a{}");
  return {
      {"hostname", text("web.example.org")},
      {"timezone", text("Europe/Berlin")},
      {"users", list({table({{"name", text("deploy")},
                             {"ssh_keys", texts({key})},
                             {"ssh_key_files", texts({(dir / "deploy.pub").string()})},
                             {"groups", texts({"adm", "sudo"})},
                             {"password", text(secret)},
                             {"sudo", Value{true}},
                             {"shell", text("/bin/sh")}}),
                      table({{"name", text("app")}, {"uid", number(2000)}, {"home", text("/srv/app")}}),
                      table({{"name", text("old")}, {"groups", texts({"sudo"})}})})},
      {"passwords", list({table({{"user", text("root")}, {"password", text("$6$salt$hash")}})})},
      {"mkdir", texts({"/srv/www/deep"})},
      {"copy_in", list({table({{"source", text((dir / "site").string())}, {"to", text("/srv/copied")}})})},
      {"files", list({table({{"path", text("/srv/www/index.html")}, {"content", text("hello")}}),
                      table({{"path", text("/opt/new/tool")},
                             {"source", text((dir / "upload.bin").string())},
                             {"mode", text("4750")},
                             {"owner", text("deploy")},
                             {"group", text("adm")}})})},
      {"link", list({table({{"path", text("/srv/current")}, {"target", text("www")}})})},
      {"chown", list({table({{"path", text("/srv/www")}, {"owner", text("app")}, {"group", text("27")}})})},
      {"chmod", list({table({{"path", text("/srv/www/deep")}, {"mode", text("1770")}})})},
      {"scripts", texts({(dir / "setup").string()})},
      {"run", texts({"echo one >/run.log; id -u >>/run.log", "echo \"$PWD $HOME\" >>/run.log"})},
      {"services", table({{"enable", texts({"web", "ssh"})}, {"disable", texts({"apt-daily.timer"})}})},
      {"delete", texts({"/root/*.tmp", "/nothing/here"})},
  };
}

bool accepts(const std::string& shadow, const std::string& user, const std::string& password) {
  const std::size_t at = ("\n" + shadow).find("\n" + user + ":");
  const std::string hash =
      shadow.substr(at + user.size() + 1, shadow.find(':', at + user.size() + 1) - at - user.size() - 1);
  const auto data = std::make_unique<crypt_data>();
  return hash == ::crypt_r(password.c_str(), hash.c_str(), data.get());
}

void accounts_are_right(Guest& g) {
  EXPECT_EQ(g.read("/etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nold:x:1000:1000::/home/old:/bin/sh\n"
            "deploy:x:1001:1001::/home/deploy:/bin/sh\napp:x:2000:2000::/srv/app:/bin/bash\n");
  EXPECT_EQ(g.read("/etc/group"),
            "root:x:0:\nsudo:x:27:deploy,old\nadm:x:4:old,deploy\nold:x:1000:\ndeploy:x:1001:\napp:x:2000:\n");
  EXPECT_EQ(g.read("/etc/gshadow"), "root:*::\nsudo:*::deploy,old\nadm:*::old,deploy\nold:!::\ndeploy:!::\napp:!::\n");
  const std::string shadow = g.read("/etc/shadow");
  EXPECT_THAT(shadow, StartsWith("root:$6$salt$hash:19000:0:99999:7:::\nold:!:19000"));
  EXPECT_THAT(shadow, HasSubstr("\napp:!::0:99999:7:::\n")) << "no day that changes from build to build";
  EXPECT_TRUE(accepts(shadow, "deploy", secret));
  EXPECT_FALSE(accepts(shadow, "deploy", "something else"));
  EXPECT_EQ(g.read("/home/deploy/.ssh/authorized_keys"), std::string(key) + "\n" + key2 + "\n");
  EXPECT_THAT(g.call({"lstat", "/home/deploy/.ssh/authorized_keys"}), HasSubstr(" 100600 1001 1001"));
  EXPECT_THAT(g.call({"lstat", "/home/deploy/.ssh"}), HasSubstr(" 40700 1001 1001"));
  EXPECT_THAT(g.call({"lstat", "/home/deploy/.profile"}), HasSubstr(" 1001 1001")) << "from /etc/skel";
  EXPECT_THAT(g.call({"lstat", "/srv/app"}), HasSubstr(" 40700 2000 2000"));
  EXPECT_EQ(g.read("/etc/sudoers.d/kiln-deploy"), "deploy ALL=(ALL:ALL) NOPASSWD: ALL\n");
  EXPECT_THAT(g.call({"lstat", "/etc/sudoers.d/kiln-deploy"}), HasSubstr(" 100440 0 0"));
}

void files_are_right(Guest& g) {
  EXPECT_EQ(g.read("/etc/hostname"), "web.example.org\n");
  EXPECT_EQ(g.read("/etc/hosts"), "127.0.0.1\tlocalhost\n127.0.1.1\tweb.example.org\tweb\n");
  EXPECT_EQ(g.call({"readlink", "/etc/localtime"}), "../usr/share/zoneinfo/Europe/Berlin");
  EXPECT_EQ(g.read("/etc/timezone"), "Europe/Berlin\n");
  EXPECT_EQ(g.read("/srv/www/index.html"), "hello");
  EXPECT_EQ(g.call({"lstat", "/srv/www/index.html"}), "5 100644 0 0");
  EXPECT_EQ(g.call({"lstat", "/opt/new/tool"}), "8 104750 1001 4");
  EXPECT_EQ(g.read("/srv/copied/site/css/a.css"), "a{}");
  EXPECT_EQ(g.read("/srv/current/index.html"), "hello");
  EXPECT_THAT(g.call({"lstat", "/srv/www"}), HasSubstr(" 40755 2000 27"));
  EXPECT_THAT(g.call({"lstat", "/srv/www/deep"}), HasSubstr(" 41770 0 0"));
  EXPECT_EQ(g.read("/run.log"), "one\n0\n/ /root\n");
  EXPECT_EQ(g.read("/script.log"), "script /tmp/.kiln-script\n");
  EXPECT_FALSE(g.exists("/tmp/.kiln-script"));
  EXPECT_EQ(g.read("/systemctl.log"), "enable web ssh\ndisable apt-daily.timer\n");
  EXPECT_FALSE(g.exists("/root/a.tmp"));
}

std::string failure_of(test::StageContext& context, const Table& given) {
  try {
    context.run(customize(), given);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void failures_are_clear(test::StageContext& context, const test::TempDir& dir) {
  EXPECT_EQ(failure_of(context, {{"timezone", text("Mars/Olympus")}}),
            "the guest does not know the time zone \"Mars/Olympus\"");
  EXPECT_EQ(failure_of(context, {{"passwords", list({table({{"user", text("nobody")}, {"password", text("x")}})})}}),
            "the guest has no user \"nobody\" to give a password to");
  EXPECT_EQ(failure_of(context, {{"users", list({table({{"name", text("b")}, {"groups", texts({"wheel"})}})})}}),
            "the guest has no group \"wheel\" for \"b\" to join");
  EXPECT_EQ(failure_of(context, {{"users", list({table({{"name", text("b")}, {"uid", number(1000)}})})}}),
            "the guest already gives uid 1000 to \"old\"");
  EXPECT_EQ(failure_of(context, {{"users", list({table({{"name", text("old")}, {"uid", number(5)}})})}}),
            "the guest's user \"old\" has the uid 1000, not 5");
  EXPECT_EQ(failure_of(context, {{"run", texts({"echo no; exit 7"})}}),
            "a command in the guest ended with status 7: echo no; exit 7");
  write_text(dir / "id", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
  EXPECT_EQ(failure_of(
                context,
                {{"users", list({table({{"name", text("old")}, {"ssh_key_files", texts({(dir / "id").string()})}})})}}),
            "not a file of public SSH keys: " + (dir / "id").string());
}

TEST(Customize, DoesEverythingAndAgainTheSame) {
  const test::TempDir dir;
  make_root(dir);
  test::make_tiny_disk(dir / "base.qcow2", dir / "root", 48u << 20);
  test::make_overlay(dir / "a.qcow2", dir / "base.qcow2");
  test::StageContext context(dir / "a.qcow2", dir.path());
  const Table given = everything(dir);
  context.run(customize(), given);
  EXPECT_EQ(context.summed_up, "20 operations, 2 files");
  EXPECT_EQ(context.facts().at("os.hostname"), "web.example.org");
  EXPECT_THAT(context.warned, Contains("\"deploy\" may use sudo, but the guest has no sudo"));
  EXPECT_EQ(context.progressed.back().total, 20);
  accounts_are_right(context.guest());
  files_are_right(context.guest());

  const std::string passwd = context.guest().read("/etc/passwd");
  const std::string keys = context.guest().read("/home/deploy/.ssh/authorized_keys");
  for (const char* log : {"/run.log", "/systemctl.log"}) context.guest().remove(log);
  context.run(customize(), given);
  EXPECT_EQ(context.guest().read("/etc/passwd"), passwd);
  EXPECT_EQ(context.guest().read("/home/deploy/.ssh/authorized_keys"), keys);
  files_are_right(context.guest());

  failures_are_clear(context, dir);
  for (const std::string& line : context.logged) EXPECT_THAT(line, Not(HasSubstr(secret)));
  for (const Progress& p : context.progressed) EXPECT_THAT(p.what, Not(HasSubstr(secret)));
  context.close();
  EXPECT_EQ(test::debugfs(dir / "a.qcow2", "cat /srv/www/index.html"), "hello");
}

}  // namespace
}  // namespace kiln

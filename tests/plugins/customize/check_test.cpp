#include <gmock/gmock.h>

#include "support/plugins.h"
#include "support/values.h"

namespace kiln {
namespace {

using test::list;
using test::table;
using test::text;
using test::texts;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> problems(const Table& given) {
  return test::problems_of(test::load_stage("customize"), given);
}

constexpr const char* key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO me@home";

TEST(CustomizeCheck, TakesWhatTheReadmeShows) {
  EXPECT_THAT(
      problems({{"hostname", text("web.example.org")},
                {"timezone", text("America/Argentina/Buenos_Aires")},
                {"users", list({table({{"name", text("deploy")},
                                       {"ssh_keys", texts({key})},
                                       {"groups", texts({"adm"})},
                                       {"password", text("s3cret: with a colon")},
                                       {"sudo", Value{true}}})})},
                {"files", list({table({{"path", text("/srv/x")}, {"content", text("")}, {"mode", text("0644")}})})},
                {"services", table({{"enable", texts({"web", "getty@ttyS0.service"})}})},
                {"delete", texts({"/root/*.tmp"})}}),
      ElementsAre());
}

TEST(CustomizeCheck, NamesWhatIsNoName) {
  EXPECT_THAT(problems({{"hostname", text("-web")}}), ElementsAre("hostname: not a host name: \"-web\""));
  EXPECT_THAT(problems({{"hostname", text("a..b")}}), ElementsAre("hostname: not a host name: \"a..b\""));
  EXPECT_THAT(problems({{"timezone", text("../../etc/passwd")}}),
              ElementsAre("timezone: not a time zone: \"../../etc/passwd\""));
  EXPECT_THAT(problems({{"users", list({table({{"name", text("Root:0")}})})}}),
              ElementsAre("users[0].name: not a login name: \"Root:0\""));
  EXPECT_THAT(problems({{"services", table({{"disable", texts({"x; reboot"})}})}}),
              ElementsAre("services.disable[0]: not the name of a unit: \"x; reboot\""));
}

TEST(CustomizeCheck, WantsGuestPathsAbsoluteAndClean) {
  EXPECT_THAT(problems({{"mkdir", texts({"srv", "/a/../b", "/ok"})}}),
              ElementsAre("mkdir[0]: not an absolute path in the guest: \"srv\"",
                          "mkdir[1]: not an absolute path in the guest: \"/a/../b\""));
  EXPECT_THAT(
      problems({{"delete", texts({"/", "/*", "/tmp/*"})}}),
      ElementsAre("delete[0]: this would delete the whole guest", "delete[1]: this would delete the whole guest"));
}

TEST(CustomizeCheck, WantsOneOriginAndAnOctalModePerFile) {
  EXPECT_THAT(problems({{"files", list({table({{"path", text("/a")}})})}}),
              ElementsAre("files[0]: neither content nor source"));
  EXPECT_THAT(
      problems({{"files", list({table({{"path", text("/a")}, {"content", text("x")}, {"source", text("/x")}})})}}),
      ElementsAre("files[0]: both content and source"));
  for (const char* mode : {"0999", "7", "12345", "rwx", "+x"})
    EXPECT_THAT(problems({{"chmod", list({table({{"path", text("/a")}, {"mode", text(mode)}})})}}),
                ElementsAre(std::string("chmod[0].mode: not an octal mode: \"") + mode + "\""));
}

TEST(CustomizeCheck, WantsPublicKeyLines) {
  for (const char* wrong : {"deploy.pub", "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519 AAAA x\nssh-rsa AAAA y"})
    EXPECT_THAT(problems({{"users", list({table({{"name", text("a")}, {"ssh_keys", texts({wrong})}})})}}),
                ElementsAre("users[0].ssh_keys[0]: not a public SSH key line"));
}

TEST(CustomizeCheck, ANameThatIsCopiedInIsPartOfTheKey) {
  const auto key_of = [](const char* source) {
    return test::load_stage("customize")
        .fingerprint_with({{"copy_in", list({table({{"source", Value{InputPath{source}}}, {"to", text("/srv")}})})}});
  };
  EXPECT_NE(key_of("/ci/a.txt"), key_of("/ci/b.txt"));
  EXPECT_EQ(key_of("/ci/a.txt"), key_of("/elsewhere/a.txt"));
}

TEST(CustomizeCheck, NeverShowsAPassword) {
  for (const std::string& line :
       problems({{"passwords", list({table({{"user", text("root")}, {"password", text("hunter2\nx")}})})}}))
    EXPECT_THAT(line, Not(HasSubstr("hunter2")));
  EXPECT_THAT(problems({{"passwords", list({table({{"user", text("root")}, {"password", text("a\nb")}})})}}),
              ElementsAre("passwords[0].password: the password holds a character that a password cannot have"));
}

}  // namespace
}  // namespace kiln

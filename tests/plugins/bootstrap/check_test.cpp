// That the disk starts under both firmwares is proved by tests/examples/quickstart.
#include <gmock/gmock.h>

#include "support/plugins.h"
#include "support/values.h"

namespace kiln {
namespace {

using test::text;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> problems(const Table& values) {
  return test::problems_of(test::load_stage("bootstrap"), values);
}

TEST(Bootstrap, IsASourceThatNeedsNothingSaid) {
  EXPECT_EQ(test::load_stage("bootstrap").role(), Role::source);
  EXPECT_THAT(problems({}), IsEmpty());
}

TEST(Bootstrap, TakesWhatDebianCallsPackagesAndHosts) {
  EXPECT_THAT(problems({{"packages", Value{List{text("g++"), text("libstdc++6"), text("linux-image-6.1.0-9-amd64")}}},
                        {"hostname", text("web-1.example.org")},
                        {"suite", text("trixie")},
                        {"mirror", text("file:///srv/mirror")}}),
              IsEmpty());
}

TEST(Bootstrap, WantsAPasswordOfOneLine) {
  EXPECT_THAT(problems({{"root_password", text("one\ntwo")}}),
              ElementsAre("root_password: a password must be a single line"));
}

TEST(Bootstrap, RefusesASizeThatCannotHoldASystem) {
  EXPECT_THAT(problems({{"size", text("1G")}}), ElementsAre("size: a Debian system does not fit into 1.0 GiB"));
  EXPECT_THAT(problems({{"size", Value{std::int64_t{(3ll << 30) + 512}}}}),
              ElementsAre("size: the size is not a multiple of 1 MiB"));
}

TEST(Bootstrap, RefusesTextThatWouldBeAnOptionOrACommand) {
  EXPECT_THAT(problems({{"suite", text("--help")}}), ElementsAre("suite: \"--help\" is not a release name"));
  EXPECT_THAT(problems({{"packages", Value{List{text("nginx"), text("a,b"), text("-o")}}}}),
              ElementsAre("packages[1]: \"a,b\" is not a package name", "packages[2]: \"-o\" is not a package name"));
  EXPECT_THAT(problems({{"hostname", text("a b")}}), ElementsAre("hostname: \"a b\" is not a host name"));
  EXPECT_THAT(problems({{"mirror", text("mirror.local")}}), ElementsAre("mirror: \"mirror.local\" is not a URL"));
  EXPECT_THAT(problems({{"ssh_keys", Value{List{text("AAAA")}}}}),
              ElementsAre("ssh_keys[0]: this is not one line of a public key file"));
}

}  // namespace
}  // namespace kiln

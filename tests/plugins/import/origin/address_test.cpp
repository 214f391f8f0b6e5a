// Where a URL may lead: addresses in all their forms, redirections, proxies.
#include <gmock/gmock.h>
#include <cstdlib>

#include "plugins/import/origin/fetching.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

class Address : public Fetching {
 protected:
  Address() { server().put("a.raw", disk); }
  /// Nothing is allowed that is not allowed to everybody.
  Error guarded(const std::string& url, const std::vector<std::string>& allow = {}) {
    return failure({{"url", text(url)}, {"allow", texts(allow)}, {"retries", number(0)}});
  }
  std::vector<std::string> problems(Table given) {
    fakes::FakeCheck check(ctx.fake_formats);
    load_stage("import").check_with(params(std::move(given)), check);
    std::vector<std::string> all;
    for (const Problem& p : check.problems) all.push_back(p.param + ": " + p.what);
    return all;
  }
  const std::string disk = random_bytes(10'000);
};

TEST_F(Address, OfWhateverFormIsRefusedWhenItIsNotPublic) {
  const std::string port = ":" + server().port() + "/a.raw";
  for (const char* host : {"127.0.0.1",
                           "127.1",
                           "2130706433",
                           "0x7f000001",
                           "0x7f.1",
                           "0177.0.0.1",
                           "localhost",
                           "0.0.0.0",
                           "0",
                           "[::1]",
                           "[::]",
                           "[::ffff:127.0.0.1]",
                           "[::ffff:7f00:1]",
                           "[::127.0.0.1]",
                           "[64:ff9b::7f00:1]",
                           "[64:ff9b:1::1]",
                           "[2002:7f00:1::]",
                           "[::ffff:0:127.0.0.1]",
                           "10.0.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "169.254.169.254",
                           "100.64.0.1",
                           "224.0.0.1",
                           "255.255.255.255",
                           "192.0.0.170",
                           "198.18.0.1",
                           "[fd00::1]",
                           "[fe80::1]",
                           "[ff02::1]",
                           "[2001:0:1::1]",
                           "[fec0::1]"}) {
    const Error error = guarded(std::string("http://") + host + port);
    EXPECT_EQ(error.code(), code::private_address) << host << ": " << error.what();
    EXPECT_EQ(error.failure(), Failure::refused) << host;
  }
  EXPECT_THAT(server().requests(), IsEmpty());
}

TEST_F(Address, SaysWhatItIsAndHowToAllowIt) {
  const Error error = guarded(server().url("a.raw"));
  EXPECT_STREQ(error.what(), "the URL leads to an address that is not of the public internet");
  EXPECT_EQ(error.evidence(), std::vector<std::string>{"\"127.0.0.1\" is 127.0.0.1 (loopback)"});
  EXPECT_EQ(error.hint(), "if it is meant, allow it: allow = [\"127.0.0.1\"], or --allow 127.0.0.1");
  EXPECT_EQ(guarded("http://[64:ff9b::a00:1]/a").evidence(),
            std::vector<std::string>{"\"[64:ff9b::a00:1]\" is 64:ff9b::a00:1 (private, NAT64)"});
}

TEST_F(Address, IsAllowedByBlockByItselfAndByName) {
  for (const char* allowed : {"127.0.0.0/8", "127.0.0.1", "0.0.0.0/0", "::ffff:127.0.0.1", "::/0"}) {
    get("a.raw", {{"allow", texts({allowed})}});
    EXPECT_EQ(content(), disk) << allowed;
  }
  run({{"url", text("http://LOCALHOST:" + server().port() + "/a.raw")}, {"allow", texts({"localhost"})}});
  EXPECT_EQ(content(), disk);
  for (const char* other : {"127.0.0.0/32", "126.0.0.0/8", "128.0.0.0/1", "::1", "localhost", "10.0.0.0/8"})
    EXPECT_EQ(guarded(server().url("a.raw"), {other}).code(), code::private_address) << other;
}

TEST_F(Address, IsLookedAtAgainAfterEachRedirection) {
  const std::string inside = "http://127.0.0.2:" + server().port() + "/a.raw";
  const Error error = guarded(server().url("x?to=" + inside), {"127.0.0.1"});
  EXPECT_EQ(error.code(), code::private_address);
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("127.0.0.2 (loopback)")));
  for (const char* to :
       {"http://2130706434/", "http://[::1]/", "http://169.254.169.254/latest/meta-data", "//localhost/a.raw"})
    EXPECT_EQ(guarded(server().url(std::string("x?to=") + to), {"127.0.0.1"}).code(), code::private_address) << to;
  EXPECT_THAT(server().requests(), testing::Each(HasSubstr("/x?to=")));
}

TEST_F(Address, OfARedirectionIsOneOfHttp) {
  for (const char* to : {"file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/a", "nbd://127.0.0.1/",
                         "http://user:password@127.0.0.1/", "dict://127.0.0.1:11/", "http://"}) {
    const Error error = guarded(server().url(std::string("x?to=") + to), {"127.0.0.1"});
    EXPECT_EQ(error.code(), code::invalid_url) << to << ": " << error.what();
    EXPECT_EQ(error.failure(), Failure::refused) << to;
  }
}

TEST_F(Address, IsFollowedFiveTimes) {
  get("a.raw?hops=5");
  EXPECT_EQ(content(), disk);
  EXPECT_EQ(server().requests().size(), 6U);
  const Error error = guarded(server().url("a.raw?hops=6"), {"127.0.0.1"});
  EXPECT_STREQ(error.what(), "the URL is redirected too often");
  EXPECT_EQ(error.code(), code::invalid_url);
}

TEST_F(Address, DoesNotLeadFromTlsToNone) {
  const TempDir dir;
  const std::string key = dir / "key.pem", certificate = dir / "cert.pem";
  ASSERT_EQ(kiln::test::run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                             "-nodes", "-days", "2", "-subj", "/CN=kiln test", "-addext", "subjectAltName=IP:127.0.0.1",
                             "-keyout", key, "-out", certificate})
                .status,
            0);
  const FileServer secure(certificate, key);
  secure.put("a.raw", disk);
  Error error = guarded(secure.url("a.raw"), {"127.0.0.1"});
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("certificate")));
  ::setenv("SSL_CERT_FILE", certificate.c_str(), 1);
  run({{"url", text(secure.url("a.raw"))}});
  EXPECT_EQ(content(), disk);
  EXPECT_THAT(ctx.warnings, testing::Not(testing::Contains(HasSubstr("not encrypted"))));
  get("x?to=" + secure.url("a.raw"));
  EXPECT_EQ(content(), disk);
  error = guarded(secure.url("x?to=" + server().url("a.raw")), {"127.0.0.1"});
  EXPECT_STREQ(error.what(), "the URL leads from an encrypted connection to one that is not");
  ::unsetenv("SSL_CERT_FILE");
}

TEST_F(Address, OfAProxyIsTheEnvironmentsButWhatItIsAskedForIsChecked) {
  ::setenv("http_proxy", ("127.0.0.1:" + server().port()).c_str(), 1);
  EXPECT_EQ(guarded("http://10.1.2.3/a.raw").code(), code::private_address);
  EXPECT_EQ(guarded("http://localhost/a.raw").code(), code::private_address);
  EXPECT_THAT(server().requests(), IsEmpty());
  const Error error = guarded("http://no-such-host.invalid/b.raw");  // the proxy answers for it
  EXPECT_THAT(error.evidence(), ElementsAre(EndsWith("the server answers 404")));
  EXPECT_THAT(server().requests(), ElementsAre("GET http://no-such-host.invalid/b.raw 404"));
  EXPECT_THAT(ctx.warnings, testing::Contains(HasSubstr("a proxy connects for kiln")));
  ::setenv("no_proxy", "127.0.0.1,localhost", 1);
  EXPECT_EQ(guarded("http://127.0.0.2:" + server().port() + "/a.raw").code(), code::private_address);
  ::unsetenv("no_proxy");
  ::unsetenv("http_proxy");
}

TEST_F(Address, IsCheckedBeforehandAsFarAsItIsText) {
  const auto wrong = [&](const char* url) { return problems({{"url", text(url)}}); };
  EXPECT_THAT(wrong("file:///etc/passwd"),
              ElementsAre("url: \"file:///etc/passwd\" is a kind of URL that is not fetched"));
  EXPECT_THAT(wrong("https://user:secret@host/a"), ElementsAre("url: \"https://…\" has a name or a password in it"));
  EXPECT_THAT(wrong("https://"), ElementsAre(HasSubstr("is not a URL")));
  EXPECT_THAT(wrong("a.raw"), ElementsAre(HasSubstr("is not a URL")));
  EXPECT_THAT(wrong("nbd://host/a"), IsEmpty());
  EXPECT_THAT(problems({}), ElementsAre(": nothing says which file"));
  EXPECT_THAT(problems({{"url", text("https://a/b")}, {"file", text("/etc/passwd")}}),
              ElementsAre("url: there is a file and a URL"));
  EXPECT_THAT(problems({{"url", text("nbd://host/a")}, {"mirrors", texts({"https://b/c"})}, {"sha512", text("12")}}),
              ElementsAre("mirrors[0]: \"mirrors\" is for files that are downloaded", HasSubstr("url: an NBD server"),
                          "sha512: \"sha512\" takes 128 hexadecimal digits"));
  EXPECT_THAT(problems({{"url", text("https://a/b")}, {"allow", texts({"10.0.0.0/33"})}, {"signature", text("/x")}}),
              ElementsAre("signature: \"signature\" is of a list of checksums, and there is none",
                          "signature: nobody says whose signature it must be",
                          "allow[0]: \"allow\" takes addresses, blocks of them, and names of hosts"));
}

}  // namespace
}  // namespace kiln::test

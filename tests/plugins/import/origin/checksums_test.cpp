// Lists of checksums and their signatures.
#include <gmock/gmock.h>

#include "plugins/import/origin/fetching.h"
#include "process/sandbox.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string sha512_of(const std::string& bytes) {
  return Hasher(Algorithm::sha512).update(bytes).hex();
}

class Checksums : public Fetching {
 protected:
  Checksums() {
    server().put("a.raw", disk);
    ctx.on_exec = [this](const Command& command) { return run_confined(command, {.directory = ctx.scratch()}, true); };
  }
  /// As a publisher lays it beside the file.
  void publish(const std::string& list) { server().put("SHA256SUMS", list); }
  Table listed(Table more = {}) {
    more["checksums"] = text(server().url("SHA256SUMS"));
    return more;
  }
  void expect_taken(const std::string& list) {
    publish(list);
    get("a.raw", listed());
    EXPECT_EQ(content(), disk) << list;
  }
  const std::string disk = random_bytes(20'000);
  const std::string right = to_hex(sha256(disk)), wrong = std::string(64, 'a');
};

TEST_F(Checksums, OfGnuAndOfBsdAndAlone) {
  expect_taken(wrong + "  b.raw\n" + right + "  a.raw\n");
  expect_taken(right + " *./images/a.raw\r\n" + wrong + " *a.raw.zip\r\n");
  expect_taken("# built today\nSHA256 (b.raw) = " + wrong + "\nSHA256 (a.raw) = " + right + "\n");
  expect_taken("SHA512 (a.raw) = " + sha512_of(disk) + "\nSHA256 (a.raw) = " + right + "\n");
  expect_taken(sha512_of(disk) + "  a.raw");
  EXPECT_EQ(ctx.known_facts.at("source.sha512"), sha512_of(disk));
  expect_taken(right + "\n");
  expect_taken("d41d8cd98f00b204e9800998ecf8427e  a.raw\n" + right + "  a.raw\n");  // an MD5 says nothing
}

TEST_F(Checksums, ThatAreOthersAreRefused) {
  publish(wrong + "  a.raw\n");
  EXPECT_EQ(failure_of("a.raw", listed()).code(), code::hash_mismatch);
  publish("SHA256 (a.raw) = " + right + "\nSHA512 (a.raw) = " + std::string(128, 'b') + "\n");
  EXPECT_STREQ(failure_of("a.raw", listed()).what(), "a.raw does not have the expected sha512");
}

TEST_F(Checksums, ThatContradictAreRefused) {
  publish(wrong + "  a.raw\n" + right + "  a.raw\n");
  Error error = failure_of("a.raw", listed());
  EXPECT_STREQ(error.what(), "SHA256SUMS says two different things of a.raw");
  EXPECT_EQ(error.code(), code::hash_mismatch);
  publish(right + "  a.raw\n");
  error = failure_of("a.raw", listed({{"sha256", text(wrong)}}));
  EXPECT_STREQ(error.what(), "the digest that is expected of a.raw is not the one of SHA256SUMS");
}

TEST_F(Checksums, ThatDoNotNameTheFileAreNoHelp) {
  publish(right + "  b.raw\n" + right + "  c.raw\n");
  EXPECT_STREQ(failure_of("a.raw", listed()).what(), "SHA256SUMS has no SHA-256 and no SHA-512 of a.raw");
  publish("<html>not what you want</html>\n");
  EXPECT_STREQ(failure_of("a.raw", listed()).what(), "SHA256SUMS has no SHA-256 and no SHA-512 of a.raw");
}

TEST_F(Checksums, AreOfALocalFileToo) {
  const TempDir dir;
  write_text(dir / "a.raw", disk);
  write_text(dir / "sums", right + "  a.raw\n");
  run({{"file", text(dir / "a.raw")}, {"checksums", text(dir / "sums")}});
  EXPECT_EQ(ctx.known_facts.at("source.sha256"), right);
  write_text(dir / "a.raw", disk + "x");
  EXPECT_EQ(failure({{"file", text(dir / "a.raw")}, {"checksums", text(dir / "sums")}}).code(), code::hash_mismatch);
}

/// Two people with a key each, of whom the test trusts the first.
class Signed : public Checksums {
 protected:
  Signed() {
    gpg({"--quick-gen-key", "Ann <ann@example.org>", "ed25519", "sign", "never"});
    gpg({"--quick-gen-key", "Eve <eve@example.org>", "ed25519", "sign", "never"});
    gpg({"--output", dir / "ann.gpg", "--export", "ann@example.org"});
    gpg({"--output", dir / "ann.asc", "--armor", "--export", "ann@example.org"});
  }
  ~Signed() override { kiln::test::run({"gpgconf", "--homedir", dir.path(), "--kill", "all"}); }

  void gpg(std::vector<std::string> args) {
    std::vector<std::string> command{"gpg",     "--homedir",       dir.path().string(), "--batch",      "--yes",
                                     "--quiet", "--pinentry-mode", "loopback",          "--passphrase", ""};
    command.insert(command.end(), args.begin(), args.end());
    const Outcome outcome = kiln::test::run(command);
    if (outcome.status != 0) throw std::runtime_error(outcome.output);
  }
  /// Publishes a list, and a signature of this list by this person.
  void publish_signed(const std::string& published, const std::string& of, const std::string& by,
                      const std::string& how = "--detach-sign") {
    publish(published);
    write_text(dir / "signed", of);
    gpg({"--local-user", by, "--output", dir / "sig", how, dir / "signed"});
    server().put("SHA256SUMS.gpg", read_text(dir / "sig"));
  }
  Table with_keys(const std::string& ring) {
    return listed({{"signature", text(server().url("SHA256SUMS.gpg"))}, {"keyring", text(dir / ring)}});
  }
  void expect_refused(const std::string& ring = "ann.gpg") {
    server().requests();
    const Error error = failure_of("a.raw", with_keys(ring));
    EXPECT_STREQ(error.what(), "the signature of SHA256SUMS is not one of the key ring's");
    EXPECT_EQ(error.code(), code::bad_signature);
    EXPECT_EQ(error.failure(), Failure::refused);
    EXPECT_THAT(server().requests(), testing::Each(HasSubstr("/SHA256SUMS")));  // nothing else was asked for
  }
  TempDir dir{"kg"};
  const std::string right_list = right + "  a.raw\n";
};

TEST_F(Signed, AreTakenFromWhomOneTrusts) {
  for (const char* ring : {"ann.gpg", "ann.asc"}) {
    publish_signed(right_list, right_list, "ann@example.org");
    get("a.raw", with_keys(ring));
    EXPECT_EQ(content(), disk) << ring;
  }
  publish_signed(right_list, right_list, "ann@example.org", "--clearsign");
  expect_refused();  // signs what it holds, not the list
  publish_signed(right_list, right_list, "ann@example.org", "--sign");
  expect_refused();
  publish_signed(right_list, right_list, "eve@example.org");
  expect_refused();
  expect_refused("ann.asc");
  publish_signed(right + "  a.raw\n" + wrong + "  b.raw\n", right_list, "ann@example.org");
  expect_refused();
  server().put("SHA256SUMS.gpg", "");
  expect_refused();
}

}  // namespace
}  // namespace kiln::test

#include "catalog/key_ring.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "fixture.h"

namespace kiln {
namespace {

using test::error_of;

// The first key of RFC 8032, section 7.1: what it signs is written there.
constexpr const char* rfc_private =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
constexpr const char* rfc_public =
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----\n";
constexpr const char* rfc_signature =
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
    "655141438e7a100b";
// A public key of another kind: P-256.
constexpr const char* other_kind =
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4tGhFV4a2xlWB3s/H64ITEG9T8OT\n"
    "3m9JbHILVEZQ2qr49B02gONwCuOEqw/uiwkQxs50KMaHoTdCaAhguPE2fw==\n-----END PUBLIC KEY-----\n";

TEST(SigningKeyTest, SignsAsTheStandardSays) {
  const SigningKey key = SigningKey::parse(rfc_private, "rfc.pem");
  EXPECT_EQ(key.sign(""), rfc_signature);
  EXPECT_EQ(key.pem(), rfc_private);
  EXPECT_EQ(key.public_key().pem(), rfc_public);
  EXPECT_TRUE(PublicKey::parse(rfc_public, "rfc.pub").verifies("", rfc_signature));
  // sha256sum of the bytes between the lines.
  EXPECT_EQ(key.public_key().id(), "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9");
}

TEST(SigningKeyTest, TakesNoOtherTextKeyOrSignature) {
  const SigningKey key = SigningKey::make(), other = SigningKey::make();
  const std::string signature = key.sign("text");
  EXPECT_TRUE(key.public_key().verifies("text", signature));
  EXPECT_FALSE(key.public_key().verifies("texT", signature));
  EXPECT_FALSE(other.public_key().verifies("text", signature));
  for (std::size_t i = 0; i < signature.size(); i += 9) {
    std::string changed = signature;
    changed[i] = changed[i] == '0' ? '1' : '0';
    EXPECT_FALSE(key.public_key().verifies("text", changed)) << i;
  }
  for (const std::string& none : {std::string(), std::string("00"), signature + "00", std::string(128, 'x')})
    EXPECT_FALSE(key.public_key().verifies("text", none)) << none;
}

TEST(SigningKeyTest, RefusesWhatIsNoKey) {
  for (const char* text : {"", "hello", rfc_public + 30, other_kind}) {
    const Error error = error_of([&] { (void)PublicKey::parse(text, "a.pub"); });
    EXPECT_EQ(error.failure(), Failure::invalid) << text;
    EXPECT_STREQ(error.what(), "a.pub holds no Ed25519 public key in PEM");
  }
  const Error error = error_of([] { (void)PublicKey::parse(rfc_private, "a.pem"); });
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_STREQ(error.what(), "a.pem is a private key");
  EXPECT_STREQ(error_of([] { (void)SigningKey::parse(rfc_public, "a.pem"); }).what(),
               "a.pem holds no Ed25519 private key in PEM without a passphrase");
}

class KeyRingTest : public testing::Test {
 protected:
  static unsigned mode_of(const std::filesystem::path& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_mode & 0777;
  }
  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(dir / name) << text;
    return dir / name;
  }
  test::TempDir dir;
  KeyRing ring{dir / "keys"};
};

TEST_F(KeyRingTest, AFolderThatIsNotThereHoldsNone) {
  EXPECT_TRUE(ring.keys().empty());
  EXPECT_FALSE(std::filesystem::exists(dir / "keys"));
}

TEST_F(KeyRingTest, AnOwnKeyIsItsOwnersAlone) {
  const RingKey made = ring.make("release");
  EXPECT_EQ(mode_of(dir / "keys"), 0700U);
  EXPECT_EQ(mode_of(dir / "keys/release.pem"), 0600U);
  EXPECT_EQ(test::files_in(dir / "keys"), (std::set<std::string>{"release.pem"}));
  const auto keys = KeyRing(dir / "keys").keys();
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0].name, "release");
  EXPECT_EQ(keys[0].key.id(), made.key.id());
  EXPECT_TRUE(keys[0].is_own);
  EXPECT_TRUE(made.key.verifies("x", ring.signing_key("release").sign("x")));

  std::filesystem::permissions(dir / "keys/release.pem", std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  const Error error = error_of([&] { (void)ring.signing_key("release"); });
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_EQ(error.what(), "the private key " + (dir / "keys/release.pem").string() + " can be read by other users");
}

TEST_F(KeyRingTest, TrustsAKeyOnceAndUnderOneName) {
  const auto file = write("alice.pub", rfc_public);
  EXPECT_FALSE(ring.trust(file, "alice").is_own);
  EXPECT_EQ(ring.get("alice").key.pem(), rfc_public);
  EXPECT_STREQ(error_of([&] { (void)ring.trust(file, "alice"); }).what(), "there is a key \"alice\" already");
  EXPECT_STREQ(error_of([&] { (void)ring.make("alice"); }).what(), "there is a key \"alice\" already");
  EXPECT_EQ(error_of([&] { (void)ring.trust(file, "bob"); }).what(),
            "the key of " + file.string() + " is here already, as \"alice\"");
  EXPECT_STREQ(error_of([&] { (void)ring.signing_key("alice"); }).what(),
               "key \"alice\" is somebody else's: only its public half is here");
  EXPECT_EQ(error_of([&] { (void)ring.get("alise"); }).hint(), "did you mean \"alice\"?");
  EXPECT_THROW((void)ring.make("../alice"), Error);
  EXPECT_EQ(test::files_in(dir / "keys"), (std::set<std::string>{"alice.pub"}));
}

TEST_F(KeyRingTest, AFileThatIsNoKeyIsNamed) {
  (void)ring.make("a");
  write("keys/b.pub", "nothing\n");
  const std::string file = (dir / "keys/b.pub").string();
  EXPECT_EQ(error_of([&] { (void)ring.keys(); }).what(), file + " holds no Ed25519 public key in PEM");
}

}  // namespace
}  // namespace kiln

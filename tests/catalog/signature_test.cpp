// Images that are signed, on both databases, and records that somebody has changed.

#include <gmock/gmock.h>
#include <soci/soci.h>

#include "accounts.h"
#include "catalog/image_signature.h"
#include "catalog/region/copy.h"
#include "catalog/region/folder_region.h"

namespace kiln {
namespace {

using Verdict = CheckedSignature::Verdict;

class SignatureTest : public test::OnBothDatabases {
 protected:
  std::shared_ptr<const SigningKey> key = std::make_shared<const SigningKey>(SigningKey::make());
  std::vector<RingKey> ring{{"release", key->public_key(), false}};
  LocalCatalog alice{folder / "c", {"alice", false}, database, {.admit = {}, .signing_key = [this] { return key; }}};
  test::MemoryDisk disk = test::make_disk(chunk_size, 1), other_disk = test::make_disk(chunk_size, 2);

  Image publish(const std::string& version, Facts facts = {}, int which = 1) {
    return test::publish(alice, which == 1 ? disk : other_disk, {"web", version, "", 0, std::move(facts)}).image;
  }
  std::vector<CheckedSignature> signatures(const std::string& reference) const {
    return check_signatures(alice.view(), alice.show(reference), ring);
  }
  std::string verdict(const std::string& reference) const {
    std::string out;
    for (const CheckedSignature& one : signatures(reference)) out += to_text(one.verdict);
    return out;
  }
  /// As somebody would who can write to the records.
  void tamper(const std::string& statement) {
    Database db(database.empty() ? (folder / "c/records.sqlite").string() : database);
    db.write([&](soci::session& sql) { sql << statement; });
  }
};

TEST_P(SignatureTest, EveryImageThatIsPublishedIsSigned) {
  const Image image = publish("1", {{"source.file", "ä\n\xff"}, {"parent", "id-0"}, {"arch", "x"}});
  const auto all = signatures("web:1");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].verdict, Verdict::good);
  EXPECT_EQ(all[0].name, "release");
  EXPECT_EQ(all[0].signature.made, image.created);
  // The text that docs/store.md describes.
  EXPECT_TRUE(key->public_key().verifies(
      "{\"content\":\"sha256:" + to_hex(image.content) + "\",\"made\":\"" + image.created +
          "\",\"name\":\"web\",\"owner\":\"alice\",\"parents\":[\"id-0\"],"
          "\"source\":{\"file\":\"\\u00e4\\n\\ufffd\"},\"type\":\"kiln-image-1\",\"version\":\"1\"}",
      all[0].signature.signature));
  EXPECT_TRUE(check_signatures(accounts.as("operator").view(), accounts.as("operator").show("alice/web:1"), {})
                  .front()
                  .name.empty());
}

TEST_P(SignatureTest, PartsAreSigned) {
  const auto part = test::store_part(alice, other_disk);
  test::publish(alice, disk, {"web", "1", "", 0, {}}, {{"disk", "disk1", part}});
  EXPECT_EQ(verdict("web:1"), "good");
  for (const char* column : {"role", "name"}) {
    tamper(std::string("UPDATE image_disks SET ") + column + " = 'vars' WHERE position = 1");
    EXPECT_EQ(verdict("web:1"), "bad") << column;
    tamper(std::string("UPDATE image_disks SET ") + column + " = '" + (column[0] == 'r' ? "disk" : "disk1") +
           "' WHERE position = 1");
    EXPECT_EQ(verdict("web:1"), "good");
  }
  tamper("UPDATE image_disks SET content = (SELECT content FROM image_disks WHERE position = 0) WHERE position = 1");
  EXPECT_EQ(verdict("web:1"), "bad");
  tamper("DELETE FROM image_disks WHERE position = 1");
  EXPECT_EQ(verdict("web:1"), "bad");
}

TEST_P(SignatureTest, AKeyThatIsNotHereIsUnknown) {
  (void)publish("1");
  ring = {{"other", SigningKey::make().public_key(), true}};
  EXPECT_EQ(verdict("web:1"), "unknown");
}

TEST_P(SignatureTest, WithoutAKeyNothingIsSigned) {
  (void)accounts.publish("alice", "web:1");
  EXPECT_EQ(verdict("web:1"), "");
}

TEST_P(SignatureTest, SigningAgainWithTheSameKeyReplaces) {
  const Image image = publish("1");
  const SigningKey second = SigningKey::make();
  ring.push_back({"second", second.public_key(), true});
  SignatureRecords& signatures = alice.view().store().signatures;
  signatures.put(image.id, sign_image(image, "alice", *key));
  EXPECT_EQ(verdict("web:1"), "good");
  signatures.put(image.id, sign_image(image, "alice", second));
  EXPECT_EQ(verdict("web:1"), "goodgood");
}

TEST_P(SignatureTest, AChangedRecordMakesItBad) {
  const Image parent = publish("0");
  const Image image = publish("1", {{"source.file", "a.vhd"}, {"parent", parent.id}});
  (void)publish("2", {}, 2);
  const std::string of = " WHERE id = '" + image.id + "'", mine = " WHERE image = '" + image.id + "'";
  const auto facts = [&](const std::string& text) { return "UPDATE images SET facts = '" + text + "'" + of; };
  const std::string were = R"({"parent":")" + parent.id + R"(","source.file":"a.vhd"})";
  const std::pair<std::string, std::string> changes[] = {
      {facts(R"({"parent":")" + parent.id + R"(","source.file":"b.vhd"})"), facts(were)},
      {facts(R"({"source.file":"a.vhd"})"), facts(were)},
      {"UPDATE images SET version = '3'" + of, "UPDATE images SET version = '1'" + of},
      {"UPDATE images SET name = 'db'" + of, "UPDATE images SET name = 'web'" + of},
      {"UPDATE image_signatures SET made = '2001-01-01T00:00:00Z'" + mine,
       "UPDATE image_signatures SET made = '" + image.created + "'" + mine},
      {"DELETE FROM image_parents" + mine,
       "INSERT INTO image_parents VALUES ('" + image.id + "', '" + parent.id + "')"},
      {"UPDATE image_disks SET content = (SELECT x.content FROM image_disks x JOIN images i ON i.id = x.image WHERE "
       "i.version = '2')" +
           mine,
       "UPDATE image_disks SET content = '" + to_hex(image.content) + "'" + mine}};
  for (const auto& [change, back] : changes) {
    EXPECT_EQ(verdict(image.id), "good") << change;
    tamper(change);
    EXPECT_EQ(verdict(image.id), "bad") << change;
    tamper(back);
  }
  EXPECT_EQ(verdict(image.id), "good");
  tamper("UPDATE images SET owner = 'operator'" + of);
  EXPECT_EQ(check_signatures(accounts.as("operator").view(), accounts.as("operator").show(image.id), ring)[0].verdict,
            Verdict::bad);
}

TEST_P(SignatureTest, ASignatureOfAnotherImageIsBad) {
  (void)publish("1");
  const Image two = publish("2");
  alice.view().store().signatures.put(two.id, alice.show("web:1").signatures.front());
  EXPECT_EQ(verdict("web:1"), "good");
  EXPECT_EQ(verdict("web:2"), "bad");
}

TEST_P(SignatureTest, AParentThatIsRemovedLeavesItGood) {
  const Image grandparent = publish("0");
  const Image parent = publish("1", {{"parent", grandparent.id}});
  (void)publish("2", {{"parent", parent.id}});
  (void)alice.remove("web:1");  // its child is tied to the grandparent
  EXPECT_EQ(verdict("web:2"), "good");
}

TEST_P(SignatureTest, ACopyKeepsThemUnlessItBelongsToAnother) {
  (void)publish("1", {{"source.file", "a.vhd"}});
  const auto copied_to = [&](const std::string& account) {
    const auto there = std::make_shared<LocalCatalog>(folder / account, Account{account, false});
    FolderRegion to("eu", there);
    const auto from = std::make_shared<LocalCatalog>(folder / "c", Account{"operator", true}, database);
    (void)copy_image(FolderRegion(home_region, from), from->show("alice/web:1"), to, {});
    return check_signatures(there->view(), there->show("web:1"), ring);
  };
  const auto alices = copied_to("alice");
  ASSERT_EQ(alices.size(), 1U);
  EXPECT_EQ(alices[0].verdict, Verdict::good);
  EXPECT_TRUE(copied_to("bob").empty());
}

TEST_P(SignatureTest, AKeyThatCannotBeUsedPublishesNothing) {
  LocalCatalog broken(folder / "c", {"alice", false}, database,
                      {.admit = {}, .signing_key = []() -> std::shared_ptr<const SigningKey> { throw Error("no"); }});
  EXPECT_THROW((void)test::publish(broken, disk, {"web", "1", "", 0, {}}), Error);
  EXPECT_TRUE(broken.list().empty());
  EXPECT_TRUE(test::files_in(folder / "c/staging").empty());
}

TEST_P(SignatureTest, AdmissionIsAskedBeforeAnImageIsBuiltFrom) {
  (void)publish("1");
  LocalCatalog careful(folder / "c", {"alice", false}, database,
                       {.admit = [](const CatalogView&, const ImageEntry& entry) -> std::vector<std::string> {
                          if (entry.image.version == "1") throw refused("not this one");
                          return {"take care of " + entry.reference()};
                        },
                        .signing_key = {}});
  const Image second = test::publish(careful, disk, {"web", "2", "", 0, {}}).image;
  EXPECT_STREQ(test::error_of([&] { (void)careful.open(careful.show("web:1").image); }).what(), "not this one");
  EXPECT_NE(careful.open(second), nullptr);
  EXPECT_THAT(careful.warnings(second), testing::ElementsAre("take care of web:2"));
  EXPECT_NE(careful.read(careful.show("web:1").image), nullptr);  // an export does not run it
}

KILN_ON_BOTH_DATABASES(SignatureTest);

}  // namespace
}  // namespace kiln

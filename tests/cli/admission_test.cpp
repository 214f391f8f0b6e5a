#include "cli/admission.h"

#include <gmock/gmock.h>

#include <kiln/file.h>

#include "catalog/local_catalog.h"
#include "catalog/store.h"
#include "support/temp.h"

namespace kiln::cli {
namespace {

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() {
    home.create();
    const auto sink = catalog.publish({.name = "web", .version = "1", .channel = {}, .virtual_size = 0, .facts = {}});
    sink->finish();
    image = sink->image();
  }
  void policy(const std::string& rule) { write_text(home.policy(), "mode = \"enforce\"\nown = false\n" + rule); }
  void sign(const Moment& made) {
    Image older = image;
    older.created = made;
    catalog.view().store().signatures.put(image.id,
                                          sign_image(older, "alice", KeyRing(home.keys()).signing_key("release")));
  }
  engine::PolicyDecision ask() { return ask_policy(home, catalog.view(), catalog.show("web:1")).value().decision; }

  test::TempDir dir;
  Home home{dir / "home"};
  LocalCatalog catalog{home.catalog(), {"alice", false}};
  Image image;
};

TEST_F(AdmissionTest, WithoutAPolicyNothingIsDecided) {
  EXPECT_FALSE(ask_policy(home, catalog.view(), catalog.show("web:1")));
  EXPECT_TRUE(admit(home, catalog.view(), catalog.show("web:1")).empty());
}

TEST_F(AdmissionTest, AnImageIsAsOldAsItsSignatureSays) {
  (void)KeyRing(home.keys()).make("release");
  policy("[[allow]]\nmax_age = \"1d\"\n");
  EXPECT_TRUE(ask().allowed);
  sign("2001-01-01T00:00:00Z");
  EXPECT_FALSE(ask().allowed);
  EXPECT_THAT(ask().lacks, testing::ElementsAre(testing::StartsWith("max_age: it is ")));
  sign("2999-01-01T00:00:00Z");  // the record is the older one
  EXPECT_TRUE(ask().allowed);
  policy("[[allow]]\nkey = \"release\"\n");
  EXPECT_TRUE(ask().allowed);
}

TEST_F(AdmissionTest, AKeyThatWasRemovedVouchesForNothing) {
  (void)KeyRing(home.keys()).make("release");
  sign(image.created);
  policy("[[allow]]\nkey = \"release\"\n");
  EXPECT_TRUE(ask().allowed);
  std::filesystem::remove(home.keys() / "release.pem");
  EXPECT_FALSE(ask().allowed);
  EXPECT_THROW((void)admit(home, catalog.view(), catalog.show("web:1")), Error);
}

}  // namespace
}  // namespace kiln::cli

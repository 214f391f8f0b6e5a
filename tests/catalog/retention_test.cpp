#include "catalog/retention.h"

#include <gmock/gmock.h>

#include "catalog/fixture.h"
#include "catalog/labels.h"
#include "catalog/life.h"
#include "catalog/sharing.h"

namespace kiln {
namespace {

using testing::ElementsAre;

class RetentionTest : public testing::Test {
 protected:
  void publish(const std::string& name, const std::string& version, const std::string& parent = {}) {
    Facts facts;
    if (!parent.empty()) facts["parent"] = catalog_.show(parent).image.id;
    test::publish(catalog_, test::make_disk(1u << 20, ++seed_), {name, version, "", 0, facts});
  }
  std::vector<Verdict> judge(std::size_t keep) const { return Retention(catalog_.view(), users_).judge("web", keep); }
  static std::vector<std::string> going(const std::vector<Verdict>& verdicts) {
    std::vector<std::string> out;
    for (const Verdict& v : verdicts)
      if (v.goes) out.push_back(v.entry.image.version);
    return out;
  }

  test::TempDir folder_;
  LocalCatalog catalog_{folder_ / "c"};
  Retention::Users users_ = [](const ImageEntry&) { return std::vector<std::string>{}; };
  std::uint64_t seed_ = 0;
};

TEST_F(RetentionTest, KeepsTheNewest) {
  for (const char* version : {"1", "2", "3", "4"}) publish("web", version);
  publish("other", "1");
  EXPECT_THAT(going(judge(2)), ElementsAre("2", "1"));
  EXPECT_THAT(going(judge(0)), ElementsAre("4", "3", "2", "1"));
  EXPECT_THAT(going(judge(9)), ElementsAre());
  EXPECT_EQ(judge(2)[3].why, "older than the newest 2, and nothing needs it");
  EXPECT_EQ(test::error_of([&] { (void)Retention(catalog_.view(), users_).judge("wbe", 1); }).failure(),
            Failure::invalid);
}

TEST_F(RetentionTest, SaysWhyAnOldOneStays) {
  for (const char* version : {"1", "2", "3", "4", "5", "6", "7"}) publish("web", version);
  Life(catalog_.view()).protect("web:1", true);
  Labels(catalog_.view()).promote("web:2", "stable");
  Sharing(catalog_.view()).offer("web:3", {"bob"}, false);
  publish("child", "1", "web:4");
  users_ = [](const ImageEntry& e) {
    return e.image.version == "5" ? std::vector<std::string>{"web1"} : std::vector<std::string>{};
  };
  const auto verdicts = judge(1);
  EXPECT_THAT(going(verdicts), ElementsAre("6"));
  EXPECT_EQ(verdicts[2].why, "instance web1 runs from it");
  EXPECT_EQ(verdicts[3].why, "child:1 was built from it");
  EXPECT_EQ(verdicts[4].why, "it is shared with bob");
  EXPECT_EQ(verdicts[5].why, "channel stable points at it");
  EXPECT_EQ(verdicts[6].why, "it is protected");
}

TEST_F(RetentionTest, CarriesOutWhatIsStillTrue) {
  for (const char* version : {"1", "2", "3"}) publish("web", version);
  const auto verdicts = judge(1);
  Life(catalog_.view()).protect("web:1", true);  // meanwhile
  const auto gone = Retention(catalog_.view(), users_).carry_out(verdicts, parse_moment("+7d"));
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].image.version, "2");
  EXPECT_EQ(catalog_.show("web:2").state(), ImageState::trashed);
  EXPECT_EQ(catalog_.show("web:1").state(), ImageState::available);
}

}  // namespace
}  // namespace kiln

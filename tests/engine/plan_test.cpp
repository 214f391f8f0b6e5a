#include "engine/plan.h"

#include "engine/fixture.h"

namespace kiln::engine {
namespace {

class PlanTest : public EngineTest {
 protected:
  std::string text(const std::string& content, const std::string& more = "") const {
    return "[[stage]]\nuse = \"t-source\"\n[[stage]]\nuse = \"t-edit\"\nfiles = [{ path = \"/a\", content = \"" +
           content + "\" }]\n" + more + "[[stage]]\nuse = \"t-edit\"\nat = 2\n[[stage]]\nuse = \"t-look\"\n";
  }
  std::string plan(const std::string& pipeline, const std::vector<std::string>& again = {}) {
    std::string out;
    for (const PlannedStage& s : make_plan(load(pipeline), services, again).stages) {
      static constexpr const char* states[] = {"hit", "MISS", "?"};
      out += std::to_string(s.number) + ' ' + s.name + ' ' + states[static_cast<int>(s.state)] + " " + s.why + '\n';
    }
    return out;
  }
};

TEST_F(PlanTest, KnowsNothingBeforeTheFirstRun) {
  EXPECT_EQ(plan(text("hello")),
            "1 t-source MISS never run\n2 t-edit ? follows 1\n3 t-edit ? follows 1\n4 t-look ? follows 1\n");
  EXPECT_FALSE(std::filesystem::exists(home));  // a plan changes nothing
}

TEST_F(PlanTest, SaysWhatChanged) {
  run(text("hello"));
  EXPECT_EQ(plan(text("hello")),
            "1 t-source hit seen just now\n2 t-edit hit sealed just now\n3 t-edit hit sealed just now\n"
            "4 t-look hit done just now\n");
  EXPECT_EQ(plan(text("hello, world")),
            "1 t-source hit seen just now\n2 t-edit MISS files[0].content changed: \"hello\" → \"hello, world\"\n"
            "3 t-edit MISS follows 2\n4 t-look MISS follows 2\n");
  EXPECT_EQ(plan(text("hello", "words = [\"x\"]\n")),
            "1 t-source hit seen just now\n2 t-edit MISS words[0] is new: \"x\"\n3 t-edit MISS follows 2\n"
            "4 t-look MISS follows 2\n");
}

TEST_F(PlanTest, NamesAFileWhoseContentChanged) {
  write_text(dir / "f", "one");
  run(text("a", "upload = \"f\"\n"));
  write_text(dir / "f", "two");
  const std::string out = plan(text("a", "upload = \"f\"\n"));
  EXPECT_NE(out.find("2 t-edit MISS upload changed: \"sha256:"), std::string::npos) << out;
}

TEST_F(PlanTest, NeverShowsASecret) {
  run(text("a", "password = \"hunter2\"\n"));
  const std::string out = plan(text("a", "password = \"hunter3\"\n"));
  EXPECT_NE(out.find("2 t-edit MISS password changed: \"sha256:"), std::string::npos) << out;
  EXPECT_EQ(out.find("hunter"), std::string::npos);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(home)) {
    if (entry.path().extension() == ".json") {
      EXPECT_EQ(read_text(entry.path()).find("hunter"), std::string::npos) << entry.path();
    }
  }
}

TEST_F(PlanTest, EstimatesFromTheLastRun) {
  run(text("hello"));
  const Plan p = make_plan(load(text("other")), services);
  EXPECT_EQ(p.hits(), 1U);
  for (const PlannedStage& s : p.stages) EXPECT_TRUE(s.estimate) << s.name;
  EXPECT_EQ(p.appliances, 1U);  // two neighbours share it
  EXPECT_EQ(p.boots, 0U);
}

TEST_F(PlanTest, CountsWhatItWillStart) {
  const std::string boot = "[[stage]]\nuse = \"boot\"\n";
  const Plan p = make_plan(load(text("a") + boot + "[[stage]]\nuse = \"t-edit\"\n" + boot), services);
  EXPECT_EQ(p.appliances, 2U);
  EXPECT_EQ(p.boots, 2U);
  run(text("a"));
  const Plan again = make_plan(load(text("a")), services);
  EXPECT_EQ(again.appliances, 0U);
}

TEST_F(PlanTest, SaysWhatAgainWillRun) {
  run(text("hello"));
  EXPECT_EQ(plan(text("hello"), {"3"}),
            "1 t-source hit seen just now\n2 t-edit hit sealed just now\n3 t-edit MISS asked for with --again\n"
            "4 t-look MISS follows 3\n");
}

TEST_F(PlanTest, SeesThatALayerIsGone) {
  run(text("hello"));
  for (const std::string& key : layers()) std::filesystem::remove_all(home / "layers" / key);
  EXPECT_EQ(plan(text("hello")),
            "1 t-source MISS its disk is read again for 2\n2 t-edit MISS its result is gone\n3 t-edit MISS follows 2\n"
            "4 t-look MISS follows 2\n");
}

}  // namespace
}  // namespace kiln::engine

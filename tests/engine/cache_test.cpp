// What is not done again.
#include <chrono>

#include "engine/fixture.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

class CacheTest : public EngineTest {
 protected:
  std::string pipeline(int first = 66, int second = 67) const {
    return "[[stage]]\nuse = \"t-source\"\n[[stage]]\nuse = \"t-edit\"\nbyte = " + std::to_string(first) +
           "\n[[stage]]\nuse = \"t-edit\"\nat = 2\nbyte = " + std::to_string(second) +
           "\n[[stage]]\nuse = \"t-look\"\n[[stage]]\nuse = \"write\"\nfile = \"out.raw\"\n";
  }
};

TEST_F(CacheTest, NothingChangedMeansNothingRuns) {
  const RunResult first = run(pipeline());
  RunResult second;
  auto fastest = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 3; ++i) {  // the host may be busy with something else
    const auto start = std::chrono::steady_clock::now();
    second = run(pipeline());
    fastest = std::min(fastest, std::chrono::steady_clock::now() - start);
  }
  EXPECT_LT(fastest, std::chrono::milliseconds(200));
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached, 4 cached, 5 cached");
  EXPECT_EQ(second.cached, 5U);
  EXPECT_EQ(second.facts, first.facts);
  EXPECT_EQ(summary(3), "chunk 2");
}

TEST_F(CacheTest, ALayerIsWorthNothingOnAnotherParent) {
  run(pipeline());
  // As if the layer of stage 2 had been lost and built again, with other bytes: no guest is built the same twice.
  for (const std::string& key : layers()) {
    std::string record = read_text(home / "layers" / key / "layer.json");
    if (record.find("chunk 1") == std::string::npos) continue;
    const auto at = record.find("\"content\": \"") + 12;
    record[at] = record[at] == '0' ? '1' : '0';
    write_text(home / "layers" / key / "layer.json", record);
  }
  run(pipeline());
  EXPECT_TRUE(endings().starts_with("1 cached, 2 cached, 3 done, ")) << endings();
}

TEST_F(CacheTest, ResumesFromTheDeepestLayer) {
  run(pipeline());
  appliance = {};
  run(pipeline(66, 70));
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 done, 4 done, 5 done");
  EXPECT_EQ(appliance.started, 1);
  run(pipeline(66, 67));                                                   // back again: its layers are still there
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached, 4 cached, 5 done");  // the file was replaced meanwhile
}

TEST_F(CacheTest, GoesOnAfterAFailure) {
  const std::string failing =
      "[[stage]]\nuse = \"t-source\"\n[[stage]]\nuse = \"t-edit\"\n[[stage]]\nuse = \"t-edit\"\nat = 2\nmishap = ";
  failure(failing + "\"error\"\n");
  run(failing + "\"\"\n");
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 done");
}

TEST_F(CacheTest, ASinkRunsAgainWhenItsResultIsGone) {
  run(pipeline());
  fs::remove(dir / "out.raw");
  run(pipeline());
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached, 4 cached, 5 done");
  EXPECT_TRUE(fs::exists(dir / "out.raw"));
}

TEST_F(CacheTest, ReadsTheSourceAgainOnlyForWhoNeedsIt) {
  const std::string text = "[[stage]]\nuse = \"t-source\"\n[[stage]]\nuse = \"write\"\nfile = \"a.raw\"\n";
  run(text);
  run(text);
  EXPECT_EQ(endings(), "1 cached, 2 cached");
  fs::remove(dir / "a.raw");
  run(text);
  EXPECT_EQ(endings(), "1 done, 2 done");
}

TEST_F(CacheTest, TheSameContentFromElsewhereHitsTheSameLayers) {
  const auto from = [](const char* file) {
    return "[[stage]]\nuse = \"import\"\nformat = \"raw\"\nfile = \"" + std::string(file) +
           "\"\n[[stage]]\nuse = \"t-edit\"\n";
  };
  write_text(dir / "a.raw", std::string(200'000, 'x'));
  run(from("a.raw"));
  fs::copy_file(dir / "a.raw", dir / "b.raw");
  run(from("b.raw"));
  EXPECT_EQ(endings(), "1 done, 2 cached");
  write_text(dir / "a.raw", std::string(200'000, 'y'));
  run(from("a.raw"));
  EXPECT_EQ(endings(), "1 done, 2 done");
}

TEST_F(CacheTest, ASinkRunsAgainWhenTheMachineIsAnother) {
  const auto machine = [](const std::string& words) {
    return "[[stage]]\nuse = \"t-source\"\n" + words +
           "[[stage]]\nuse = \"t-edit\"\n[[stage]]\nuse = \"write\"\nfile = \"a.raw\"\n";
  };
  run(machine("beside = \"data\"\n"));
  EXPECT_EQ(endings(), "1 done, 2 done, 3 done");
  run(machine("beside = \"data\"\n"));
  EXPECT_EQ(endings(), "1 done, 2 cached, 3 cached");
  run(machine("beside = \"other data\"\n"));
  EXPECT_EQ(endings(), "1 done, 2 cached, 3 done");
  run(machine("memory = \"1024\"\n"));
  EXPECT_EQ(endings(), "1 done, 2 cached, 3 done");
  run(machine("memory = \"1024\"\n"));
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached");
}

TEST_F(CacheTest, AgainRunsASinkWhateverIsRemembered) {
  run(pipeline());
  run(pipeline(), {.again = {"t-look"}, .stop = {}});
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached, 4 done, 5 cached");
  run(pipeline(), {.again = {"4"}, .stop = {}});
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached, 4 done, 5 cached");
}

TEST_F(CacheTest, AgainOnAChangeMakesANewLayerAndKeepsIt) {
  run(pipeline());
  run(pipeline(), {.again = {"2"}, .stop = {}});
  EXPECT_EQ(endings(), "1 cached, 2 done, 3 done, 4 done, 5 done");
  EXPECT_EQ(layers().size(), 5U);  // the older ones may carry others
  run(pipeline());
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached, 4 cached, 5 cached");
}

TEST_F(CacheTest, AgainOnTheSourceFindsTheSameContent) {
  run(pipeline());
  run(pipeline(), {.again = {"t-source"}, .stop = {}});
  EXPECT_EQ(endings(), "1 done, 2 cached, 3 cached, 4 cached, 5 cached");
}

TEST_F(CacheTest, AgainRefusesANameThatIsNoStage) {
  EXPECT_EQ(failure(pipeline(), {.again = {"t-lok"}, .stop = {}}), "the pipeline has no stage \"t-lok\" to run again");
  EXPECT_EQ(last_error->hint(), "did you mean \"t-look\"?");
}

TEST_F(CacheTest, ADamagedRecordIsNoRecord) {
  run(pipeline());
  for (const auto& entry : fs::recursive_directory_iterator(home))
    if (entry.path().filename() == "layer.json" || entry.path().parent_path() == home / "done") {
      fs::permissions(entry.path(), fs::perms::owner_all);
      write_text(entry.path(), "{");
    }
  run(pipeline());
  EXPECT_EQ(endings(), "1 done, 2 done, 3 done, 4 done, 5 done");
}

TEST_F(CacheTest, AHomeMayMove) {
  run(pipeline());
  fs::rename(home, dir / "moved");
  services.home = dir / "moved";
  fs::remove(dir / "out.raw");
  run(pipeline());
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached, 4 cached, 5 done");
}

}  // namespace
}  // namespace kiln::engine

#include "engine/runner.h"

#include <gmock/gmock.h>

#include <unistd.h>

#include <fstream>
#include <thread>

#include <kiln/hash.h>

#include "engine/fixture.h"
#include "support/disks.h"
#include "support/full_disk.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

class RunnerTest : public EngineTest {};

std::string sources(const std::string& more = "") {
  return "[[stage]]\nuse = \"t-source\"\n" + more;
}
std::string edit(int at, int byte, const std::string& more = "") {
  return "[[stage]]\nuse = \"t-edit\"\nat = " + std::to_string(at) + "\nbyte = " + std::to_string(byte) + "\n" + more;
}
std::string write_to(const std::string& name) {
  return "[[stage]]\nuse = \"write\"\nfile = \"" + name + "\"\n";
}
const std::string look = "[[stage]]\nuse = \"t-look\"\n";
const std::string publish = "[[stage]]\nuse = \"publish\"\nimage = \"web\"\n";
const std::string checksum = "[[stage]]\nuse = \"checksum\"\n";

std::string bytes_of(const fs::path& file, std::uint64_t at, std::size_t n) {
  std::vector<std::byte> buffer(n);
  File::open_read(file).read_at(at, buffer);
  std::string out;
  for (const std::byte b : buffer) out += static_cast<char>(b);
  return out;
}

TEST_F(RunnerTest, RunsSourceChangesAndSinks) {
  const RunResult result = run(sources() + edit(1, 66) + edit(2, 67) + look + write_to("out.raw"));
  EXPECT_EQ(endings(), "1 done, 2 done, 3 done, 4 done, 5 done");
  EXPECT_EQ(result.ran, 5U);
  EXPECT_EQ(bytes_of(dir / "out.raw", 0, 6), std::string("base\0\0", 6));
  EXPECT_EQ(bytes_of(dir / "out.raw", chunk_size, 3), "BBB");
  EXPECT_EQ(bytes_of(dir / "out.raw", 2 * chunk_size, 3), "CCC");
  EXPECT_EQ(summary(4), "it is a qcow2 of 1.0 MiB");
  EXPECT_EQ(result.facts.at("looked.writable"), "no");
  EXPECT_EQ(result.facts.at("edited.2"), "67");
  EXPECT_EQ(result.facts.at("pipeline"), "p");
  EXPECT_EQ(layers().size(), 3U);  // the base and one for each change
  EXPECT_TRUE(layers(true).empty());
  // Two neighbours share one appliance.
  EXPECT_EQ(appliance.started, 1);
  EXPECT_EQ(appliance.moved, 1);
  EXPECT_EQ(appliance.closed, 1);
}

TEST_F(RunnerTest, ReadsTheSourceOnceForAllSinksAndTheBaseLayer) {
  run(sources("reads = \"reads\"\n") + checksum + publish + write_to("a.raw") + write_to("b.raw") + edit(1, 66) +
      write_to("c.raw"));
  std::map<std::uint64_t, int> reads;
  std::ifstream file(dir / "reads");
  for (std::uint64_t offset = 0, length = 0; file >> offset >> length;)
    for (std::uint64_t at = offset; at < offset + length; at += 512) ++reads[at];
  EXPECT_FALSE(reads.empty());
  for (const auto& [at, count] : reads) EXPECT_EQ(count, 1) << at;
  EXPECT_TRUE(test::same_files(dir / "a.raw", dir / "b.raw"));
  EXPECT_FALSE(test::same_files(dir / "a.raw", dir / "c.raw"));
  EXPECT_TRUE(summary(4).ends_with("(same read pass as checksum)")) << summary(4);
  ASSERT_EQ(catalog.images.size(), 1U);
  EXPECT_EQ(catalog.images[0].facts.at("checksum.sha256"), hash_file(dir / "a.raw"));
  EXPECT_EQ(catalog.images[0].facts.at("source.digest"), catalog.images[0].facts.at("checksum.content"));
}

TEST_F(RunnerTest, CopiesNothingWhenNobodyEdits) {
  run(sources() + write_to("a.raw"));
  EXPECT_TRUE(layers().empty());
}

TEST_F(RunnerTest, AFileSinkGetsABaseLayer) {
  run(sources() + look);
  EXPECT_EQ(endings(), "1 done, 2 done");
  EXPECT_EQ(layers().size(), 1U);
}

TEST_F(RunnerTest, ASourceMayBuildInAnEmptyDisk) {
  run(sources("build = true\ntext = \"A\"\n") + edit(1, 66) + write_to("a.raw"));
  EXPECT_EQ(bytes_of(dir / "a.raw", 0, 3), "AAA");
  EXPECT_EQ(bytes_of(dir / "a.raw", chunk_size, 3), "BBB");
  EXPECT_EQ(layers().size(), 2U);
}

TEST_F(RunnerTest, AChangeMayResize) {
  run(sources() + edit(1, 66) + edit(20, 67, "resize = \"2M\"\n") + write_to("a.raw") + look);
  EXPECT_EQ(fs::file_size(dir / "a.raw"), 2U << 20);
  EXPECT_EQ(bytes_of(dir / "a.raw", 20 * chunk_size, 2), "CC");
  EXPECT_EQ(bytes_of(dir / "a.raw", chunk_size, 2), "BB");
  EXPECT_EQ(appliance.started, 2);  // a running one cannot see a new size
}

TEST_F(RunnerTest, EndsTheApplianceBeforeASinkLooks) {
  run(sources() + edit(1, 66) + look + edit(2, 67));
  EXPECT_EQ(appliance.started, 2);
  EXPECT_EQ(appliance.closed, 2);
}

TEST_F(RunnerTest, ADiskThatIsWrittenToWhileASinkLooksIsRefused) {
  EXPECT_EQ(failure(sources() + edit(1, 66) + "[[stage]]\nuse = \"t-look\"\nmishap = \"write-below\"\n"),
            "stage 3 \"t-look\": the disk was written to while it was only to be looked at");
  EXPECT_EQ(endings(), "1 done, 2 done, 3 failed");
}

TEST_F(RunnerTest, AChangeWithoutTheGuestStartsNoAppliance) {
  run(sources() + edit(1, 66, "guest = false\n") + edit(2, 66, "guest = false\n"));
  EXPECT_EQ(appliance.started, 0);
  EXPECT_EQ(layers().size(), 3U);
}

TEST_F(RunnerTest, TheDigestOfALayerIsThatOfAFreshReading) {
  run(sources() + edit(3, 70) + edit(5, 71) + checksum + write_to("a.raw"));
  const std::string chained = recorder.events.back().facts.at("checksum.content");
  services.home = dir / "other";
  run("[[stage]]\nuse = \"import\"\nfile = \"a.raw\"\nformat = \"raw\"\n" + checksum);
  EXPECT_EQ(recorder.events.back().facts.at("checksum.content"), chained);
}

TEST_F(RunnerTest, NamesTheStageThatFailed) {
  EXPECT_EQ(failure(sources() + edit(1, 66, "mishap = \"error\"\n")), "stage 2 \"t-edit\": the test wants it so");
  EXPECT_EQ(last_error->hint(), "want something else");
  EXPECT_EQ(last_error->evidence(), (std::vector<std::string>{"evidence"}));
  EXPECT_EQ(endings(), "1 done, 2 failed");
  EXPECT_EQ(recorder.events.back().kind, Event::Kind::run_failed);
  EXPECT_EQ(failure(sources("reading = \"error\"\n") + publish + write_to("a.raw")),
            "stage 1 \"t-source\": the disk is damaged");
  EXPECT_TRUE(catalog.images.empty());
  EXPECT_FALSE(fs::exists(dir / "a.raw"));
  EXPECT_TRUE(layers(true).empty());
}

TEST_F(RunnerTest, KeepsNoResultUnderTheKeyOfAnotherInput) {
  struct Meddler final : Observer {
    fs::path file;
    void on(const Event& e) override {
      if (e.kind == Event::Kind::stage_started) write_text(file, std::string(1 << 20, 'b'));
    }
  } meddler;
  meddler.file = dir / "disk.raw";
  write_text(meddler.file, std::string(1 << 20, 'a'));
  const Pipeline pipeline = load("[[stage]]\nuse = \"import\"\nfile = \"disk.raw\"\nformat = \"raw\"\n" + publish);
  try {
    engine::run(pipeline, services, meddler);
    ADD_FAILURE() << "it took the other file for the first";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "stage 1 \"import\": an input was changed while the stage ran");
  }
  EXPECT_TRUE(catalog.images.empty());
}

TEST_F(RunnerTest, LaysNothingOnALayerThatAnotherRunSealedMeanwhile) {
  const Pipeline pipeline = load(sources() + look + edit(1, 66) + edit(2, 67));
  struct Other final : Observer {
    std::function<void()> meanwhile;
    void on(const Event& e) override {
      if (e.kind == Event::Kind::stage_started && e.stage == 2) meanwhile();
    }
  } first;
  Recorder second;
  first.meanwhile = [&] { engine::run(load(sources() + edit(1, 66), "another"), services, second); };
  try {
    engine::run(pipeline, services, first);
    ADD_FAILURE() << "it laid a layer on another's";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "stage 3 \"t-edit\": another kiln has built the same layer meanwhile");
    EXPECT_EQ(error.hint(), "run again: it goes on from there");
  }
  EXPECT_NO_THROW(run(pipeline));
  EXPECT_TRUE(endings().starts_with("1 cached, 2 ")) << endings();
}

TEST_F(RunnerTest, SealsNothingThatWasMadeOfAnotherInput) {
  struct Meddler final : Observer {
    fs::path file;
    void on(const Event& e) override {
      if (e.kind == Event::Kind::stage_started && e.stage == 2) write_text(file, "two");
    }
  } meddler;
  meddler.file = dir / "f";
  write_text(meddler.file, "one");
  const Pipeline pipeline = load(sources() + edit(1, 66, "upload = \"f\"\n"));
  try {
    engine::run(pipeline, services, meddler);
    ADD_FAILURE() << "it was sealed under the key of \"one\"";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "stage 2 \"t-edit\": an input was changed while the stage ran");
    EXPECT_TRUE(error.evidence().at(0).starts_with("upload changed: ")) << error.evidence()[0];
  }
  EXPECT_EQ(layers().size(), 1U);  // the source's
}

TEST_F(RunnerTest, ForeignExceptionsNameThePlugin) {
  EXPECT_EQ(failure(sources("mishap = \"exception\"\n")), "stage 1 \"t-source\": plugin \"t-source\" broke: boom");
  EXPECT_EQ(last_error->hint(), "this is a bug in the plugin: tell its author");
  EXPECT_EQ(failure(sources() + edit(1, 1, "after = \"int\"\n")),
            "stage 2 \"t-edit\": plugin \"t-edit\" broke with an exception that is no std::exception");
}

TEST_F(RunnerTest, PointsToTheLog) {
  failure(sources() + edit(1, 66, "mishap = \"log\"\n"));
  ASSERT_TRUE(last_error->hint().starts_with("full log: " + (home / "logs").string())) << last_error->hint();
  EXPECT_EQ(read_text(last_error->hint().substr(10)), "a line\n");
}

TEST_F(RunnerTest, StopsWhenAskedAndLeavesWhatIsSealed) {
  std::stop_source stop;
  std::jthread asker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stop.request_stop();
  });
  const std::string text = sources() + edit(1, 66) + edit(2, 67, "mishap = \"hang\"\n");
  EXPECT_EQ(failure(text, {.again = {}, .stop = stop.get_token()}), "cancelled");
  EXPECT_EQ(last_error->failure(), Failure::cancelled);
  EXPECT_EQ(layers().size(), 2U);
  EXPECT_TRUE(layers(true).empty());
}

TEST_F(RunnerTest, AFullDiskIsAnErrorAndLeavesNothing) {
  const std::string big = sources("text = \"" + std::string(700'000, 'x') + "\"\n");
  test::on_small_disk(256 << 10, [&](const fs::path& small) {
    EXPECT_TRUE(failure(big + write_to((small / "out.raw").string())).starts_with("stage 2 \"write\": cannot write "))
        << last_error->what();
    EXPECT_TRUE(std::string(last_error->what()).ends_with(": No space left on device")) << last_error->what();
    EXPECT_EQ(last_error->hint(), "free some space, or write to another disk");
    EXPECT_EQ(test::names_in(small), "");

    services.home = small / "home";
    EXPECT_TRUE(failure(big + edit(1, 1)).starts_with("stage 1 ")) << last_error->what();
    EXPECT_TRUE(std::string(last_error->what()).ends_with(": No space left on device")) << last_error->what();
    EXPECT_EQ(test::names_in(services.home / "layers"), ".lock");
  });
}

TEST_F(RunnerTest, TellsAnUnfinishedImageWhyItIsNotMade) {
  // Between the read pass and the sinks' own ends: the source's record cannot be written.
  fs::create_directory(home);
  fs::create_directory_symlink("/proc/self", home / "done");
  failure(sources() + publish);
  EXPECT_THAT(catalog.failures, testing::ElementsAre(last_error->what()));
  EXPECT_THAT(last_error->what(), testing::HasSubstr((home / "done").string()));
  EXPECT_TRUE(catalog.images.empty());
}

TEST_F(RunnerTest, RefusesALayerThatAnotherRunIsBuilding) {
  const Pipeline pipeline = load(sources() + edit(1, 66, "mishap = \"hang\"\n"));
  std::stop_source stop;
  Recorder other;
  std::jthread first([&] {
    try {
      engine::run(pipeline, services, other, {.again = {}, .stop = stop.get_token()});
    } catch (const Error&) {
    }
  });
  const auto building = [&] {
    for (const std::string& name : layers(true))
      if (fs::exists(home / "layers" / name / "building")) return true;
    return false;
  };
  while (!fs::exists(home / "layers") || !building()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  try {
    run(pipeline);
    ADD_FAILURE() << "both build it";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), "stage 2 \"t-edit\": another kiln (process " + std::to_string(::getpid()) +
                                ") is building the same layer");
    EXPECT_EQ(error.hint(), "wait until it is done and run again: the layer will be there");
  }
  EXPECT_NO_THROW(run(load(sources() + edit(1, 99), "another")));  // other layers may be built meanwhile
  stop.request_stop();
}

TEST_F(RunnerTest, TellsEverythingInOrder) {
  run(sources() + edit(1, 66));
  std::string kinds;
  for (const Event& e : recorder.events)
    if (e.kind != Event::Kind::stage_progress) kinds += std::string(to_string(e.kind)) + ' ';
  EXPECT_EQ(kinds, "run_started stage_started stage_done stage_started stage_done run_done ");
  EXPECT_EQ(recorder.events.front().stages, 2U);
}

/// A disk from an image of the catalog, and who is asked before it is handed on.
class HandedOn : public EngineTest {
 protected:
  HandedOn() {
    Image& image = catalog.images.emplace_back();
    image.id = "image-1";
    image.name = "web";
    image.version = "1";
    image.virtual_size = 1 << 20;
    services.allow = [this](const HandOver& to) {
      asked.push_back(to.stage + " " + to.image + (to.content ? " " + to_hex(*to.content) : " unchanged"));
      if (to.stage == forbidden) throw refused("not for you").as(code::unsupported);
    };
  }
  std::string text(const std::string& more) const { return "[[stage]]\nuse = \"image\"\nimage = \"web\"\n" + more; }
  std::string write() const { return "[[stage]]\nuse = \"write\"\nfile = \"" + (dir / "out.raw").string() + "\"\n"; }
  std::vector<std::string> asked;
  std::string forbidden;
};

TEST_F(HandedOn, ASinkIsAskedAboutBeforeItGetsTheDisk) {
  run(text(write()));
  EXPECT_THAT(asked, testing::ElementsAre("write image-1 unchanged"));
  std::filesystem::remove(dir / "out.raw");
  asked.clear();
  forbidden = "write";
  EXPECT_EQ(failure(text(write())), "stage 2 \"write\": not for you");
  EXPECT_EQ(last_error->failure(), Failure::refused);
  EXPECT_EQ(last_error->code(), code::unsupported);
  EXPECT_FALSE(std::filesystem::exists(dir / "out.raw"));
  EXPECT_EQ(failure(text("[[stage]]\nuse = \"t-look\"\n" + write())), "stage 3 \"write\": not for you");
}

TEST_F(HandedOn, AsItIsAfterAChange) {
  const std::string edit = "[[stage]]\nuse = \"t-edit\"\n";
  run(text(edit + "[[stage]]\nuse = \"t-look\"\n" + edit + write()));
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_THAT(asked[0], testing::StartsWith("t-look image-1 "));
  EXPECT_THAT(asked[1], testing::StartsWith("write image-1 "));
  EXPECT_THAT(asked[0], testing::Not(testing::EndsWith("unchanged")));
  asked.clear();
  std::filesystem::remove(dir / "out.raw");
  forbidden = "write";  // also when all before it is cached
  EXPECT_EQ(failure(text(edit + "[[stage]]\nuse = \"t-look\"\n" + edit + write())), "stage 5 \"write\": not for you");
  EXPECT_EQ(asked.size(), 1U);
}

TEST_F(HandedOn, NoStageMakesTheDiskForgetItsParent) {
  run(text(
      "[[stage]]\nuse = \"t-edit\"\nmishap = \"forget-parent\"\n[[stage]]\nuse = \"publish\"\nimage = \"mine\"\n"));
  EXPECT_EQ(catalog.images.back().facts.at("parent"), "image-1");
  EXPECT_EQ(asked.size(), 1U);
}

TEST_F(HandedOn, ADiskFromElsewhereIsNobodysBusiness) {
  run("[[stage]]\nuse = \"t-source\"\n" + write());
  EXPECT_TRUE(asked.empty());
}

}  // namespace
}  // namespace kiln::engine

#include "engine/runner.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include <kiln/hash.h>

#include "engine/fixture.h"
#include "support/disks.h"

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

/// Runs f in a process with a file system of 256 KiB mounted at `folder`, which nobody else sees. False when the host
/// does not let us.
template <class F>
bool on_a_small_disk(const fs::path& folder, F f) {
  fs::create_directory(folder);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("kiln-test", folder.c_str(), "tmpfs", 0, "size=256k") != 0)
      ::_exit(77);
    f();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status) != 77;
}

TEST_F(RunnerTest, AFullDiskIsAnErrorAndLeavesNothing) {
  const std::string big = sources("text = \"" + std::string(700'000, 'x') + "\"\n");
  const Pipeline to_file = load(big + write_to("small/out.raw"), "a"), to_layer = load(big + edit(1, 1), "b");
  const bool able = on_a_small_disk(dir / "small", [&] {
    const auto failure_of = [&](const Pipeline& pipeline) {
      try {
        run(pipeline);
      } catch (const Error& error) {
        return std::string(error.what()) + " | " + error.hint();
      }
      return std::string("no failure");
    };
    std::string outcome = failure_of(to_file) + '\n';
    outcome += std::to_string(std::distance(fs::directory_iterator(dir / "small"), {})) + " files\n";
    services.home = dir / "small" / "home";
    outcome += failure_of(to_layer) + '\n';
    for (const auto& entry : fs::directory_iterator(services.home / "layers"))
      if (entry.path().filename() != ".lock") outcome += "left: " + entry.path().string() + '\n';
    write_text(dir / "outcome", outcome);
  });
  if (!able) GTEST_SKIP() << "mounting is not allowed here";
  const std::string outcome = read_text(dir / "outcome");
  EXPECT_TRUE(outcome.starts_with("stage 2 \"write\": cannot write ")) << outcome;
  EXPECT_NE(outcome.find(": No space left on device | free some space, or write to another disk\n0 files\nstage 1 "),
            std::string::npos)
      << outcome;
  EXPECT_EQ(outcome.find("left: "), std::string::npos) << outcome;
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

}  // namespace
}  // namespace kiln::engine

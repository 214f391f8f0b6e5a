// Both observers, fed with events by hand.
#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <regex>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "cli/console_observer.h"
#include "cli/json_observer.h"

namespace kiln::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Kind = engine::Event::Kind;
using namespace std::chrono_literals;

/// A stream in memory.
class Memory {
 public:
  Memory() : stream_(::open_memstream(&text_, &size_)) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    std::fclose(stream_);
    std::free(text_);
  }
  std::FILE* stream() { return stream_; }
  /// What was written up to now; others may be writing.
  std::string text() {
    ::flockfile(stream_);
    std::fflush(stream_);
    std::string copy(text_, size_);
    ::funlockfile(stream_);
    return copy;
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

TEST(ConsoleObserver, TellsARunInPlainLines) {
  Memory memory;
  {
    ConsoleObserver observer(memory.stream(), -1,
                             {.stages = {"import", "customize", "boot"}, .accelerator = [] { return "tcg (no kvm)"; }});
    observer.on({.kind = Kind::run_started, .name = "web", .stages = 3, .cached = 1});
    observer.on({.kind = Kind::stage_cached, .stage = 1, .name = "import", .text = "vendor.vhd  vhd dynamic"});
    observer.on({.kind = Kind::stage_started, .stage = 2, .name = "customize"});
    observer.on({.kind = Kind::stage_progress,
                 .stage = 2,
                 .name = "customize",
                 .progress = {Progress::Unit::operations, 1, 2}});
    observer.on({.kind = Kind::warning, .stage = 2, .name = "customize", .text = "no\x1b[2J timezone"});
    observer.on(
        {.kind = Kind::stage_done, .stage = 2, .name = "customize", .text = "2 operations", .elapsed = 14200ms});
    observer.on({.kind = Kind::stage_failed, .stage = 3, .name = "boot", .elapsed = 130s});
  }
  EXPECT_EQ(memory.text(), "web  3 stages, 1 cached" + std::string(52, ' ') +
                               "accelerator: tcg (no kvm)\n"
                               " 1 import         cached   vendor.vhd  vhd dynamic\n"
                               "warning: stage 2 \"customize\": no\\x1b[2J timezone\n"
                               " 2 customize      14.2 s   2 operations\n"
                               " 3 boot           failed   after 2 min 10 s\n");
}

TEST(ConsoleObserver, AsksForNoAcceleratorWhenNothingIsLeftToRun) {
  Memory memory;
  ConsoleObserver observer(memory.stream(), -1, {.accelerator = []() -> std::string { throw Error("asked"); }});
  observer.on({.kind = Kind::run_started, .name = "web", .stages = 2, .cached = 2});
  EXPECT_EQ(memory.text(), "web  2 stages, 2 cached\n");
}

TEST(ConsoleObserver, LeavesTheAnswerToAShortVerb) {
  Memory memory;
  ConsoleObserver observer(memory.stream(), -1, {.shown = false, .stages = {"import", "write"}});
  observer.on({.kind = Kind::run_started, .name = "convert", .stages = 2});
  observer.on({.kind = Kind::warning, .stage = 1, .name = "import", .text = "no system"});
  observer.on({.kind = Kind::stage_done, .stage = 1, .name = "import", .text = "raw", .elapsed = 3ms});
  EXPECT_EQ(memory.text(), "warning: stage 1 \"import\": no system\n");
}

bool comes(Memory& memory, const std::string& pattern) {
  const std::regex wanted(pattern);
  for (const auto end = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < end;) {
    if (std::regex_search(memory.text(), wanted)) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

TEST(ConsoleObserver, GivesASignOfLifeInAPipe) {
  Memory memory;
  {
    ConsoleObserver observer(memory.stream(), -1, {.stages = {"bootstrap"}, .sign_of_life_every = 20ms});
    observer.on({.kind = Kind::stage_started, .stage = 1, .name = "bootstrap"});
    EXPECT_TRUE(comes(memory, " 1 bootstrap +[0-9.]+ s\n")) << memory.text();
    observer.on({.kind = Kind::stage_progress,
                 .stage = 1,
                 .name = "bootstrap",
                 .progress = {Progress::Unit::fraction, 0, 0, "packages"}});
    EXPECT_TRUE(comes(memory, "[0-9] s   packages\n")) << memory.text();
  }
}

TEST(ConsoleObserver, SaysThatItStops) {
  Memory memory;
  ConsoleObserver observer(memory.stream(), -1, {.stages = {"import"}});
  observer.stopping();
  EXPECT_THAT(memory.text(), StartsWith("stopping: "));
}

TEST(Progress, ShowsBarRateAndRest) {
  const Progress half{Progress::Unit::bytes, 512.0 * (1 << 20), 1024.0 * (1 << 20), "reading"};
  EXPECT_EQ(progress_text(half, 256.0 * (1 << 20)),
            "██████████░░░░░░░░░░  512.0 MiB of 1.0 GiB  256.0 MiB/s  2 s left   reading");
  EXPECT_EQ(progress_text({Progress::Unit::operations, 11, 21}, 3), "██████████░░░░░░░░░░  11/21 operations");
  EXPECT_EQ(progress_text({Progress::Unit::fraction, 0.45, 1}, 0), "█████████░░░░░░░░░░░  45 %");
  EXPECT_EQ(progress_text({Progress::Unit::bytes, 2048, 0}, 0), "2.0 KiB");
  EXPECT_EQ(progress_text({Progress::Unit::operations, 0, 0, "waiting"}, 0), "waiting");
  EXPECT_EQ(progress_text({Progress::Unit::fraction, 0, 0, "starting the\nappliance"}, 0), "starting the\\nappliance");
}

TEST(Rate, FollowsThePaceAndStartsAgainWithANewPhase) {
  Rate rate;
  const auto start = std::chrono::steady_clock::now();
  rate.add(start, 0);
  EXPECT_EQ(rate.per_second(), 0);
  rate.add(start + 1s, 100);
  EXPECT_NEAR(rate.per_second(), 100, 1);
  for (int i = 2; i < 30; ++i) rate.add(start + i * 1s, 100 + (i - 1) * 50.0);
  EXPECT_NEAR(rate.per_second(), 50, 1);
  rate.add(start + 31s, 0);
  EXPECT_EQ(rate.per_second(), 0);
}

TEST(JsonObserver, WritesOneObjectPerEvent) {
  Memory memory;
  Output out(memory.stream(), -1, true);
  JsonObserver observer(out);
  observer.on({.kind = Kind::run_started, .name = "web", .stages = 2, .cached = 0});
  observer.on({.kind = Kind::stage_done,
               .stage = 1,
               .name = "import",
               .text = "x\ny",
               .elapsed = 1500ms,
               .facts = {{"a", "b"}}});
  observer.on({.kind = Kind::run_failed, .name = "web", .elapsed = 2s, .error = refused("no", "help")});
  std::istringstream lines(memory.text());
  std::vector<Json> all;
  for (std::string line; std::getline(lines, line);) all.push_back(Json::parse(line));
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].dump(), R"({"event":"run_started","name":"web","stages":2,"cached":0})");
  EXPECT_EQ(all[1]["seconds"], 1.5);
  EXPECT_EQ(all[1]["facts"]["a"], "b");
  EXPECT_EQ(all[2]["error"]["exit"], 3);
}

TEST(JsonObserver, PassesProgressOnTenTimesASecondAtMost) {
  Memory memory;
  Output out(memory.stream(), -1, true);
  JsonObserver observer(out);
  for (int i = 0; i < 1000; ++i) observer.on({.kind = Kind::stage_progress, .stage = 1, .name = "import"});
  const std::string text = memory.text();
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_GE(std::count(text.begin(), text.end(), '\n'), 1);
}

}  // namespace
}  // namespace kiln::cli

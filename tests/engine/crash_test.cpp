// kill -9 in the middle of each kind of stage: the next run goes on.
#include <sys/wait.h>
#include <unistd.h>

#include "engine/fixture.h"
#include "engine/layers.h"
#include "support/disks.h"

namespace kiln::engine {
namespace {

class CrashTest : public EngineTest {
 protected:
  /// Runs it in a process of its own, which is expected to be killed.
  void run_and_die(const std::string& text) {
    const Pipeline pipeline = load(text);
    const pid_t pid = ::fork();
    if (pid == 0) {
      try {
        run(pipeline);
      } catch (const std::exception&) {
      }
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  std::string text(const std::string& source, const std::string& first, const std::string& second,
                   const std::string& sink) const {
    return "[[stage]]\nuse = \"t-source\"\n" + source + "[[stage]]\nuse = \"t-edit\"\nbyte = 66\n" + first +
           "[[stage]]\nuse = \"t-edit\"\nat = 2\nbyte = 67\n" + second + "[[stage]]\nuse = \"t-look\"\n" + sink +
           "[[stage]]\nuse = \"write\"\nfile = \"out.raw\"\n";
  }
  void expect_whole() {
    EXPECT_TRUE(layers(true).empty());
    std::string expected(1 << 20, '\0');
    expected.replace(0, 4, "base");
    expected.replace(chunk_size, chunk_size, std::string(chunk_size, 'B'));
    expected.replace(2 * chunk_size, chunk_size, std::string(chunk_size, 'C'));
    EXPECT_TRUE(test::same_as_raw(fakes::MemoryDisk(expected), dir / "out.raw"));
  }
};

struct Crash {
  const char* name;
  std::string source, first, second, sink;
  const char* endings;  ///< of the next run
};

TEST_F(CrashTest, TheNextRunGoesOn) {
  // A stage's mishap is a parameter, so the stage that died has another key afterwards; what was before it has not.
  const std::vector<Crash> crashes{
      {"in the source", "mishap = \"kill\"\n", "", "", "", "1 done, 2 done, 3 done, 4 done, 5 done"},
      {"while the base layer is written", "reading = \"kill\"\n", "", "", "", "1 done, 2 done, 3 done, 4 done, 5 done"},
      {"in the first change", "", "mishap = \"kill\"\n", "", "", "1 cached, 2 done, 3 done, 4 done, 5 done"},
      {"after the first change wrote", "", "after = \"kill\"\n", "", "", "1 cached, 2 done, 3 done, 4 done, 5 done"},
      {"in the second change", "", "", "after = \"kill\"\n", "", "1 cached, 2 cached, 3 done, 4 done, 5 done"},
      {"in a sink", "", "", "", "mishap = \"kill\"\n", "1 cached, 2 cached, 3 cached, 4 done, 5 done"},
  };
  for (const Crash& crash : crashes) {
    SCOPED_TRACE(crash.name);
    run_and_die(text(crash.source, crash.first, crash.second, crash.sink));
    EXPECT_FALSE(std::filesystem::exists(dir / "out.raw"));
    run(text("", "", "", ""));
    EXPECT_EQ(endings(), crash.endings);
    expect_whole();
    std::filesystem::remove_all(home);
    std::filesystem::remove(dir / "out.raw");
  }
}

TEST_F(CrashTest, AnEarlierRunsFoldersAreLeftAloneWhileItLives) {
  const Layers all(home / "layers", registry.get("qcow2"));
  std::filesystem::create_directories(home);
  {
    const Workspace alive(all);
    { const Workspace second(all); }
    EXPECT_EQ(layers(true).size(), 1U);
  }
  EXPECT_TRUE(layers(true).empty());
  std::filesystem::create_directories(home / "layers" / ".work-999999-0");
  write_text(home / "layers" / ".work-999999-0" / "lock", "");
  std::filesystem::create_directories(home / "layers" / ".work-999999-0-3");
  { const Workspace next(all); }
  EXPECT_TRUE(layers(true).empty());
}

}  // namespace
}  // namespace kiln::engine

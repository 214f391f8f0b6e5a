// A build that is killed in the middle of each stage that has an appliance: the next one goes on where it was.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "guest/tiny_guest.h"
#include "support/tiny_image.h"

namespace kiln::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::IsEmpty;

std::vector<json> events_in(const std::string& text) {
  std::vector<json> all;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    all.push_back(json::parse(text.substr(at, end - at)));
  return all;
}

std::string read_all(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Killed : public testing::Test {
 protected:
  // A QEMU that is killed in its first moments leaves a temporary file.
  Killed() { kiln.environment["TMPDIR"] = kiln.folder(); }
  /// Starts a build, kills it when it tells `event` of a stage, and looks at what is left.
  void kill_at(const std::string& event, int stage, std::chrono::milliseconds later = 0ms) {
    const auto running = kiln.start({"build", "web.toml", "--accel", "tcg", "--json"});
    wait_for(running, event, stage);
    std::this_thread::sleep_for(later);
    ::kill(running.pid, SIGKILL);
    EXPECT_EQ(kiln.wait(running).status, 128 + SIGKILL);
    EXPECT_TRUE(kiln.processes_end()) << "stage " << stage << " left a process";
    EXPECT_THAT(json::parse(kiln({"image", "list", "--json"}).out)["images"], IsEmpty());
  }
  static void wait_for(const Program::Running& running, const std::string& event, int stage) {
    for (const auto until = std::chrono::steady_clock::now() + 120s; std::chrono::steady_clock::now() < until;) {
      for (const json& told : events_in(read_all(running.out)))
        if (told["event"] == event && told.value("stage", 0) == stage) return;
      std::this_thread::sleep_for(5ms);
    }
    FAIL() << "no " << event << " of stage " << stage << ": " << read_all(running.out);
  }
  /// The numbers of the stages that a build that ends well takes from the cache.
  std::vector<int> cached_in_a_whole_build() {
    std::vector<std::string> words{"build", "web.toml", "--accel", "tcg", "--json"};
    words.insert(words.end(), variables.begin(), variables.end());
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out;
    std::vector<int> cached;
    for (const json& told : events_in(answer.out))
      if (told.value("event", "") == "stage_cached") cached.push_back(told["stage"]);
    return cached;
  }
  void expect_no_work_left() {
    for (const auto& entry : std::filesystem::directory_iterator(kiln.home() / "layers"))
      EXPECT_FALSE(entry.path().filename().string().starts_with(".work-")) << entry.path();
  }
  Program kiln;
  std::vector<std::string> variables;  // of the build that is not killed
};

TEST_F(Killed, InEachStageThatEditsTheGuest) {
  make_tiny_root(kiln / "root");
  make_tiny_disk(kiln / "disk.qcow2", kiln / "root", 64u << 20);
  kiln.write("web.toml",
             "[[stage]]\nuse = \"import\"\nfile = \"disk.qcow2\"\n"
             "[[stage]]\nuse = \"resize\"\nsize = \"128M\"\n"
             "[[stage]]\nuse = \"customize\"\nhostname = \"web\"\n"
             "[[stage]]\nuse = \"sysprep\"\n"
             "[[stage]]\nuse = \"publish\"\nimage = \"web\"\n");
  kill_at("stage_started", 2, 2s);  // the appliance is starting
  kill_at("stage_started", 3);
  kill_at("stage_progress", 4);
  EXPECT_EQ(cached_in_a_whole_build(), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(json::parse(kiln({"image", "verify", "web", "--json"}).out)["ok"], true);
  EXPECT_EQ(kiln({"image", "export", "web", "out.qcow2"}).status, 0);
  EXPECT_EQ(debugfs(kiln / "out.qcow2", "cat /etc/hostname"), "web\n");
  expect_no_work_left();
}

/// Lines of the kernel's table that name a place below the folder.
int mounts_below(const std::filesystem::path& folder) {
  std::istringstream table(read_all("/proc/self/mountinfo"));
  int count = 0;
  for (std::string line; std::getline(table, line);) count += line.find(folder.string()) != std::string::npos ? 1 : 0;
  return count;
}

TEST_F(Killed, WhileASystemIsBootstrapped) {
  kiln.write("web.toml",
             "[[stage]]\nuse = \"bootstrap\"\nsize = \"3G\"\n[[stage]]\nuse = \"publish\"\nimage = \"web\"\n");
  kill_at("stage_started", 1, 8s);  // mmdebstrap has mounted and unpacks
  EXPECT_EQ(mounts_below(kiln.folder()), 0);
  kiln.raw_disk("disk.raw");
  kiln.write("other.toml", "[[stage]]\nuse = \"import\"\nfile = \"disk.raw\"\n");
  EXPECT_EQ(kiln({"build", "other.toml"}).status, 0);
  expect_no_work_left();
}

TEST_F(Killed, WhileAMachineBoots) {
  std::filesystem::copy_file(tiny_image("stay"), kiln / "disk.qcow2");
  kiln.write("web.toml",
             "[[stage]]\nuse = \"import\"\nfile = \"disk.qcow2\"\n"
             "[[stage]]\nuse = \"boot\"\nexpect = \"${text}\"\nmemory = \"128M\"\n"
             "[[stage]]\nuse = \"publish\"\nimage = \"web\"\n[vars]\ntext = \"never\"\n");
  kill_at("stage_started", 2, 500ms);
  variables = {"--set", "text=KILN-BOOT-OK"};
  EXPECT_EQ(cached_in_a_whole_build(), (std::vector<int>{1}));
  expect_no_work_left();
}

}  // namespace
}  // namespace kiln::test

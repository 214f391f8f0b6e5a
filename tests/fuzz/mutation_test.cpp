// A few thousand damaged files through every format's reader, in seconds: what the fuzzer does, small enough for every
// run of the tests. The seed's name and the number of a failure make it again.

#include <gtest/gtest.h>

#include <chrono>

#include "exercise.h"
#include "mutate.h"
#include "packed.h"
#include "support/temp.h"

namespace kiln::fuzz {
namespace {

constexpr std::uint64_t mutations = 2000;  // shared by the seeds of a format
constexpr std::chrono::seconds budget{3};  // of a slow machine, or under a sanitizer; the rest is left out

std::vector<std::string> plugins() {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(KILN_BINARY_DIR "/lib/kiln/plugins"))
    if (entry.path().filename().string().starts_with("kiln-format-")) all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  return all;
}

class Mutations : public testing::TestWithParam<std::string> {};

TEST_P(Mutations, EndInADiskOrAnError) {
  const test::TempDir dir;
  const Format& format = load(GetParam());
  const std::string& name = format.about().name;
  const std::vector<Seed> all = seeds(format, dir.path());
  const auto end = std::chrono::steady_clock::now() + budget;
  MemoryFile file;
  for (const Seed& seed : all) {
    file.hold(as_file(name, seed.bytes));
    EXPECT_EQ(exercise(format, file.path()), "") << seed.name;
  }
  for (std::uint64_t i = 0; i < mutations && std::chrono::steady_clock::now() < end; ++i) {
    const Seed& seed = all[i % all.size()];
    file.hold(as_file(name, mutated(seed.bytes, i)));
    ASSERT_EQ(exercise(format, file.path()), "") << seed.name << ", mutation " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Mutations, testing::ValuesIn(plugins()), [](const auto& made) {
  const std::string name = std::filesystem::path(made.param).stem().string();
  return name.substr(std::string("kiln-format-").size());
});

}  // namespace
}  // namespace kiln::fuzz

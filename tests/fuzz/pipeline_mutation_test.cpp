// A few thousand broken pipelines through the loader and the planner.

#include <gtest/gtest.h>

#include <chrono>

#include "pipelines.h"

namespace kiln::fuzz {
namespace {

constexpr std::uint64_t mutations = 4000;
constexpr std::chrono::seconds budget{5};  // of a slow machine, or under a sanitizer; the rest is left out

TEST(PipelineMutations, EndInAPlanOrWhatIsWrong) {
  Pipelines pipelines;
  ASSERT_GT(pipelines.seeds().size(), 20u);
  for (const std::string& seed : pipelines.seeds()) EXPECT_EQ(pipelines.exercise(seed), "") << seed;
  EXPECT_GT(pipelines.planned(), 20u);  // else they would not get as far as the planner
  const auto end = std::chrono::steady_clock::now() + budget;
  for (std::uint64_t i = 0; i < mutations && std::chrono::steady_clock::now() < end; ++i) {
    const std::string text = mutated_text(pipelines.seeds()[i % pipelines.seeds().size()], i);
    ASSERT_EQ(pipelines.exercise(text), "") << "mutation " << i << ":\n" << text.substr(0, 2000);
  }
}

}  // namespace
}  // namespace kiln::fuzz

// A few thousand broken initramfs images and guests through preflight.

#include <gtest/gtest.h>

#include <chrono>

#include "guests.h"
#include "initramfs.h"
#include "mutate.h"
#include "pipelines.h"

namespace kiln::fuzz {
namespace {

constexpr std::uint64_t images = 10'000, guests = 1000;
constexpr std::chrono::seconds budget{2};  // of a slow machine, or under a sanitizer; the rest is left out

TEST(InitramfsMutations, EndInModulesOrAnError) {
  const std::vector<Seed> seeds = initramfs_seeds();
  for (const Seed& seed : seeds) EXPECT_EQ(exercise_initramfs(seed.bytes), "") << seed.name;
  const auto end = std::chrono::steady_clock::now() + budget;
  for (std::uint64_t i = 0; i < images && std::chrono::steady_clock::now() < end; ++i) {
    const Seed& seed = seeds[i % seeds.size()];
    ASSERT_EQ(exercise_initramfs(mutated(seed.bytes, i)), "") << seed.name << ", mutation " << i;
  }
}

TEST(GuestMutations, EndInFindingsOrAnError) {
  const std::vector<std::string> seeds = guest_seeds();
  for (const std::string& seed : seeds) EXPECT_EQ(exercise_guest(seed), "") << seed;
  const auto end = std::chrono::steady_clock::now() + budget;
  for (std::uint64_t i = 0; i < guests && std::chrono::steady_clock::now() < end; ++i) {
    const std::string text = mutated_text(seeds[i % seeds.size()], i);
    ASSERT_EQ(exercise_guest(text), "") << "mutation " << i << ":\n" << text.substr(0, 2000);
  }
}

}  // namespace
}  // namespace kiln::fuzz

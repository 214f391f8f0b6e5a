// Eight writers, eight readers and a collection, for a minute.

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "catalog/collection.h"
#include "fixture.h"
#include "support/run.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t size = 1 << 20;  // as of catalog_operation
constexpr auto term = 60s;

class Crowd : public testing::Test {
 protected:
  std::shared_ptr<LocalCatalog> open() const {
    return std::make_shared<LocalCatalog>(folder / "c", Account{"local", true});
  }
  bool goes_on() const { return std::chrono::steady_clock::now() < end; }

  /// Publishes and removes one image again and again, each in a process of its own. Some content is that of other
  /// writers, so that one counts on what another removes.
  void write(int number) {
    const std::string name = "w" + std::to_string(number);
    for (std::uint64_t turn = 0; goes_on(); ++turn) {
      const std::uint64_t seed = (turn + static_cast<std::uint64_t>(number)) % 5;
      const test::Outcome published =
          test::run({KILN_CATALOG_OPERATION, folder / "c", "publish", name, std::to_string(seed)});
      if (published.status != 0) complain(name + ": " + published.output);
      const auto catalog = open();
      const auto image = catalog->find(name);
      if (!image || !test::same_content(*catalog->open(*image), test::make_disk(size, seed)))
        complain(name + " is not what was published");
      ++published_;
      const test::Outcome removed = test::run({KILN_CATALOG_OPERATION, folder / "c", "remove", name});
      if (removed.status != 0) complain(name + ": " + removed.output);
    }
  }
  void read() {
    const auto expected = test::make_disk(size, 99);
    for (const auto catalog = open(); goes_on(); ++read_) {
      if (!test::same_content(*catalog->open(*catalog->find("keep")), expected)) complain("keep is damaged");
      for (const ImageEntry& entry : catalog->list()) try {
          (void)test::read_all(*catalog->read(entry.image));
        } catch (const Error& error) {
          // Its writer may have removed it since it was listed; everything else is a loss.
          if (std::string(error.what()).find("not in the catalog any longer") == std::string::npos)
            complain(error.what());
        }
    }
  }
  void collect_again_and_again() {
    for (const auto catalog = open(); goes_on(); std::this_thread::sleep_for(20ms))
      collected_ += catalog->collect().packs;
  }
  void complain(const std::string& what) {
    const std::lock_guard lock(mutex);
    ADD_FAILURE() << what;
  }

  test::TempDir folder;
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::now() + term;
  std::mutex mutex;
  std::atomic<std::uint64_t> published_{0}, read_{0}, collected_{0};
};

TEST_F(Crowd, LosesNothingAndLeavesNothing) {
  test::publish(*open(), test::make_disk(size, 99), {"keep", "1", "", 0, {}});
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([this, i] { write(i); });
  for (int i = 0; i < 8; ++i) threads.emplace_back([this] { read(); });
  threads.emplace_back([this] { collect_again_and_again(); });
  for (std::thread& thread : threads) thread.join();
  const auto catalog = open();
  (void)catalog->collect();
  EXPECT_TRUE(catalog->verify().damaged.empty());
  EXPECT_EQ(catalog->list().size(), 1u);
  EXPECT_EQ(test::files_in(folder / "c/packs").size(), 1u);
  EXPECT_EQ(test::files_in(folder / "c/disks").size(), 1u);
  EXPECT_TRUE(test::files_in(folder / "c/staging").empty());
  std::cout << published_ << " publishes, " << read_ << " rounds of reading, " << collected_ << " packs collected\n";
  EXPECT_GE(published_, 16u);
  EXPECT_GE(read_, 16u);
}

}  // namespace
}  // namespace kiln

// A publishing process that is killed, or whose system calls fail, at its N-th change of a file.

#include <gmock/gmock.h>

#include "fixture.h"
#include "support/run.h"

namespace kiln {
namespace {

constexpr std::uint64_t MiB = 1 << 20;
constexpr std::uint64_t size = 9 * MiB;  // more than one segment of a pack

class Crash : public testing::Test {
 protected:
  Crash() { test::publish(catalog(), other, {"old", "1", "", 0, {}}); }

  LocalCatalog& catalog() {
    if (!catalog_) catalog_ = std::make_unique<LocalCatalog>(store);
    return *catalog_;
  }
  /// Publishes "new:1" in a process of its own, with a fault in its `when`-th call of `calls`. Its exit code.
  int publish_with(const std::string& calls, const std::string& fault, int when) {
    catalog_.reset();
    const test::Outcome outcome = test::run({"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e",
                                             "inject=" + calls + ":" + fault + ":when=" + std::to_string(when),
                                             KILN_CATALOG_PUBLISHER, store, "new", "1", "2", "9"});
    last_output = outcome.output;
    return outcome.status;
  }
  /// The store is clean, "old" is whole, and "new" is whole or not there at all. True when it is there.
  bool expect_whole_or_absent() {
    EXPECT_TRUE(catalog().verify().damaged.empty());
    EXPECT_TRUE(test::files_in(store / "staging").empty());
    EXPECT_EQ(catalog().open(*catalog().find("old"))->size(), other.size());
    const auto image = catalog().find("new");
    EXPECT_EQ(test::files_in(store / "packs").size(), image ? 2u : 1u);
    EXPECT_EQ(test::files_in(store / "disks").size(), image ? 2u : 1u);
    if (image) {
      EXPECT_TRUE(test::same_content(*catalog().open(*image), disk));
    }
    return image.has_value();
  }
  void expect_repeatable() {
    if (!catalog().find("new")) test::publish(catalog(), disk, {"new", "1", "", 0, {}});
    EXPECT_TRUE(test::same_content(*catalog().open(*catalog().find("new")), disk));
    catalog().remove("new");
    EXPECT_EQ(test::files_in(store / "packs").size(), 1u);
  }

  test::TempDir folder;
  std::filesystem::path store = folder / "c";
  test::MemoryDisk disk = test::make_disk(size, 2), other = test::make_disk(size, 1);
  std::string last_output;

 private:
  std::unique_ptr<LocalCatalog> catalog_;
};

TEST_F(Crash, KilledAtAnyMomentAPublishIsWholeOrAbsentAndCanBeRepeated) {
  // The calls by which files change, the first one to try (openat begins with the libraries), and the step. SQLite and
  // the packs use the same ones. strace counts each kind of call by itself.
  const struct {
    const char* call;
    int first, step;
  } rows[] = {{"openat", 46, 4}, {"pwrite64", 2, 9}, {"fsync", 1, 1}, {"fdatasync", 1, 1},
              {"rename", 1, 1},  {"unlink", 1, 1},   {"flock", 1, 1}, {"ftruncate", 1, 1}};
  int killed = 0, whole = 0;
  for (const auto& [call, first, step] : rows)
    for (int when = first;; when += step) {
      SCOPED_TRACE(std::string(call) + " " + std::to_string(when));
      const int status = publish_with(call, "signal=SIGKILL", when);
      ASSERT_TRUE(status == 0 || status == 128 + 9) << last_output;
      if (expect_whole_or_absent() && status != 0) ++whole;
      if (status == 0 || ++killed % 4 == 0 || catalog().find("new")) expect_repeatable();
      if (status == 0) break;
    }
  EXPECT_GE(killed, 15);  // otherwise it was never killed where it matters
  EXPECT_GE(whole, 1);
}

TEST_F(Crash, AWriteThatFailsIsAnErrorAndNothingIsPublished) {
  for (const char* calls : {"fsync", "fdatasync", "pwrite64", "rename"}) {
    int failed = 0;
    for (int when = 1;; when += 1 + when / 3) {
      SCOPED_TRACE(std::string(calls) + " " + std::to_string(when));
      const int status = publish_with(calls, "error=EIO", when);
      ASSERT_TRUE(status == 0 || status == 1) << last_output;
      if (expect_whole_or_absent()) {
        expect_repeatable();
        if (status == 0) break;
      } else {
        ++failed;
        EXPECT_THAT(last_output, testing::HasSubstr(" | ")) << "an error with a hint";
      }
      ASSERT_LT(when, 200);
    }
    EXPECT_GE(failed, 1) << calls;
  }
}

}  // namespace
}  // namespace kiln

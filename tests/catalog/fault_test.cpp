// Every call by which a publish, a removal, a collection, a copy, and a copy that goes on from a killed one, change
// files: the process is killed in it, or the call fails. After each of them the catalog is opened again, and everything
// in it is read.

#include <gmock/gmock.h>

#include <fstream>

#include "catalog/collection.h"
#include "catalog/store.h"
#include "fixture.h"
#include "support/run.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t size = 1 << 20;  // as of catalog_operation
constexpr const char* calls[] = {"pwrite64", "write",  "fsync",    "fdatasync", "ftruncate",
                                 "rename",   "unlink", "unlinkat", "fallocate", "mkdir"};

struct Operation {
  const char* name;
  std::vector<std::string> words;  ///< without the catalog
  int fewest_points;               ///< calls of all kinds; fewer, and the test would miss something
};

const Operation operations[] = {{"publish", {"publish", "new", "3"}, 80},
                                {"remove", {"remove", "victim"}, 65},
                                {"collect", {"collect"}, 40},
                                {"copy", {"copy", "victim", "OTHER"}, 85},
                                {"resume", {"copy", "victim", "OTHER"}, 105}};
const char* const faults[] = {"signal=SIGKILL", "error=EIO", "error=ENOSPC"};
static_assert((80 + 65 + 40 + 85 + 105) * std::size(faults) >= 500);

class Fault : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  Fault() {
    test::publish(*open(before / "c"), keep, {"keep", "1", "stable", 0, {}});
    test::publish(*open(before / "c"), victim, {"victim", "1", removes ? "" : "stable", 0, {}});
    test::publish(*open(before / "other"), keep, {"keep", "1", "", 0, {}});
    if (operation.name == std::string("resume")) leave_unfinished_copy();
    if (operation.words[0] == "collect") leave_something_to_collect();
  }

  /// A copy that is killed when all of its pack is written.
  void leave_unfinished_copy() const {
    // Of its calls of rename the first names the manifest in staging/, the second one the pack in packs/.
    const test::Outcome outcome = test::run({"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=rename", "-e",
                                             "inject=rename:signal=SIGKILL:when=2", KILN_CATALOG_OPERATION,
                                             before / "c", "copy", "victim", before / "other"});
    ASSERT_EQ(outcome.status, 128 + SIGKILL) << outcome.output;
    (void)open(before / "other");  // collects
    ASSERT_THAT(test::files_in(before / "other/staging"), SizeIs(2u));
  }
  void leave_something_to_collect() const {
    // What there is to collect: an image's disk and pack, a dead lease, files that nobody knows.
    const auto catalog = open(before / "c");
    test::publish(*catalog, test::make_disk(size, 9), {"gone", "1", "", 0, {}});
    Store& store = catalog->view().store();
    store.images.remove(catalog->show("gone").image.id, ImageRecords::Remove::alive);
    store.leases.begin({std::string(32, 'a'), home_region, "local", Lease::this_host(), now_moment(), now_moment(), 0});
    for (const char* name :
         {"staging/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.lease", "packs/stray.pack", "disks/stray.manifest"})
      std::ofstream(before / "c" / name) << "left behind";
  }

  static std::shared_ptr<LocalCatalog> open(const fs::path& at) {
    return std::make_shared<LocalCatalog>(at, Account{"local", true});
  }
  std::vector<std::string> command() const {
    std::vector<std::string> words{KILN_CATALOG_OPERATION, now / "c"};
    for (const std::string& word : operation.words) words.push_back(word == "OTHER" ? (now / "other").string() : word);
    return words;
  }
  void start_again() const {
    fs::remove_all(now);
    fs::copy(before, now, fs::copy_options::recursive);
  }
  test::Outcome traced(const std::string& call, const std::string& more) const {
    std::vector<std::string> words{"strace", "-f", "-qq", "-o", now / "trace", "-e", "trace=" + call};
    if (!more.empty()) words.insert(words.end(), {"-e", "inject=" + call + ":" + more});
    for (const std::string& word : command()) words.push_back(word);
    return test::run(words);
  }
  int count(const std::string& call) const {
    start_again();
    const test::Outcome outcome = traced(call, "");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    std::ifstream trace(now / "trace");
    int lines = 0;
    for (std::string line; std::getline(trace, line);) lines += line.find(call + "(") != std::string::npos ? 1 : 0;
    return lines;
  }

  /// Absent, or there with every byte.
  bool is_there(LocalCatalog& catalog, const char* name, const BlockReader& disk) const {
    const auto image = catalog.find(name);
    if (image) {
      EXPECT_TRUE(test::same_content(*catalog.open(*image), disk)) << name;
    }
    return image.has_value();
  }
  /// `copied`: nothing is left for another copy to go on from.
  static void expect_clean(LocalCatalog& catalog, bool copied) {
    Store& store = catalog.view().store();
    EXPECT_THAT(catalog.verify().damaged, IsEmpty());
    EXPECT_FALSE(has_leftovers(store));
    const std::size_t staged = test::files_in(store.paths.staging()).size();
    EXPECT_TRUE(staged == 0 || (staged == 2 && !copied)) << staged << " files are staged";
    EXPECT_THAT(store.leases.list(), IsEmpty());
    EXPECT_EQ(test::files_in(store.paths.packs()).size(), store.records.packs().size());
    EXPECT_EQ(test::files_in(store.paths.disks()).size(), store.records.disks().size());
  }
  /// `acknowledged`: the operation said that it is done.
  void expect_old_or_new(bool acknowledged) {
    const auto catalog = open(now / "c"), other = open(now / "other");
    for (LocalCatalog* each : {catalog.get(), other.get()}) EXPECT_TRUE(is_there(*each, "keep", keep));
    const bool has_victim = is_there(*catalog, "victim", victim), has_new = is_there(*catalog, "new", fresh),
               has_copy = is_there(*other, "victim", victim);
    expect_clean(*catalog, true);
    expect_clean(*other, has_copy || operation.words[0] != "copy");
    EXPECT_TRUE(has_victim || removes);
    EXPECT_FALSE(has_victim && removes && acknowledged);
    EXPECT_EQ(catalog->find("victim:stable").has_value(), !removes) << "a channel keeps what it points at";
    EXPECT_TRUE(has_new || operation.words[0] != "publish" || !acknowledged);
    EXPECT_TRUE(has_copy || operation.words[0] != "copy" || !acknowledged);
    done = operation.words[0] == "publish" ? has_new : removes ? !has_victim : has_copy;
  }
  void expect_repeatable() {
    if (done) return;
    const test::Outcome again = test::run(command());
    EXPECT_EQ(again.status, 0) << again.output;
    expect_old_or_new(true);
  }

  const Operation& operation = operations[std::get<0>(GetParam())];
  const char* fault = faults[std::get<1>(GetParam())];
  const bool removes = operation.words[0] == "remove";
  test::TempDir folder;
  fs::path before = folder / "before", now = folder / "now";
  test::MemoryDisk keep = test::make_disk(size, 1), victim = test::make_disk(size, 2), fresh = test::make_disk(size, 3);
  bool done = false;
};

TEST_P(Fault, LeavesTheOldOrTheNew) {
  int points = 0;
  for (const char* call : calls)
    for (int when = 1, all = count(call); when <= all; ++when, ++points) {
      SCOPED_TRACE(std::string(call) + " " + std::to_string(when) + " of " + std::to_string(all));
      start_again();
      const test::Outcome outcome = traced(call, std::string(fault) + ":when=" + std::to_string(when));
      const bool killed = outcome.status == 128 + SIGKILL;
      ASSERT_TRUE(outcome.status == 0 || outcome.status == 1 || killed) << outcome.status << outcome.output;
      if (outcome.status == 1) {
        EXPECT_THAT(outcome.output, HasSubstr(" | ")) << "an error with a hint";
      }
      expect_old_or_new(outcome.status == 0);
      if (points % 4 == 0) expect_repeatable();
    }
  RecordProperty("points", points);
  std::cout << points << " points\n";
  EXPECT_GE(points, operation.fewest_points);
}

/// Calls after a failed one on its descriptor, as "fdatasync(7" has it, until the descriptor is closed.
std::vector<std::string> tried_again(const fs::path& trace) {
  std::vector<std::string> out;
  std::string failed;
  std::ifstream lines(trace);
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.find("fdatasync("), end = line.find(')');
    const auto closed = line.find("close(");
    if (!failed.empty() && closed != std::string::npos && line.substr(closed + 6, end - closed - 6) == failed)
      failed.clear();
    if (at == std::string::npos) continue;
    const std::string descriptor = line.substr(at + 10, end - at - 10);
    if (descriptor == failed) out.push_back(line);
    if (line.find("EIO") != std::string::npos) failed = descriptor;
  }
  return out;
}

TEST(FailedSync, IsNeverTriedAgainOnItsDescriptor) {
  const test::TempDir folder;
  { const LocalCatalog made(folder / "c"); }
  int failures = 0;
  for (int when = 1; when <= 8; ++when) {
    const auto trace = folder / ("trace" + std::to_string(when));
    const test::Outcome outcome =
        test::run({"strace", "-f", "-qq", "-o", trace, "-e", "trace=fdatasync,close", "-e",
                   "inject=fdatasync:error=EIO:when=" + std::to_string(when), KILN_CATALOG_OPERATION, folder / "c",
                   "publish", "new" + std::to_string(when), "3"});
    failures += outcome.status == 1 ? 1 : 0;
    EXPECT_THAT(tried_again(trace), IsEmpty()) << when;
  }
  EXPECT_GT(failures, 1) << "otherwise this looked at nothing";
}

INSTANTIATE_TEST_SUITE_P(Every, Fault, testing::Combine(testing::Range(0, 5), testing::Range(0, 3)),
                         [](const auto& with) {
                           const std::string fault = faults[std::get<1>(with.param)];
                           return std::string(operations[std::get<0>(with.param)].name) + "_" +
                                  fault.substr(fault.find('=') + 1);
                         });

}  // namespace
}  // namespace kiln

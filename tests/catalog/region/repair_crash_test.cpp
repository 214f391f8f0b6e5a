// A repair that is killed, or whose system calls fail, at its N-th change of a file.

#include "catalog/pack_file.h"
#include "catalog/region/regions.h"
#include "support/run.h"

namespace kiln {
namespace {

class RepairCrash : public test::Homes {
 protected:
  RepairCrash() {
    publish("1");
    FolderRegion west = test::folder_region("west", folder / "west", "alice");
    copy(home(), "web", west);
    const auto pack = test::only_file(folder / "home" / "packs");
    test::flip_byte(pack, PackFile(pack).entries()[2].offset + record_header_size + 3);
    std::filesystem::copy(folder / "home", folder / "damaged", std::filesystem::copy_options::recursive);
  }
  /// Repairs a fresh copy of the damaged home with a fault in the `when`-th call. The program's exit code.
  int repair_with(const std::string& call, const std::string& fault, int when) {
    std::filesystem::remove_all(folder / "home");
    std::filesystem::copy(folder / "damaged", folder / "home", std::filesystem::copy_options::recursive);
    const test::Outcome outcome = test::run({"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                                             "inject=" + call + ":" + fault + ":when=" + std::to_string(when),
                                             KILN_CATALOG_REPAIRER, folder / "home", folder / "west"});
    last_output = outcome.output;
    return outcome.status;
  }
  /// The image is as it was or mended, and nothing is left over. True when it is mended.
  bool expect_as_it_was_or_mended() {
    LocalCatalog catalog(folder / "home", {"operator", true});
    const std::size_t damaged = catalog.verify().damaged.size();
    EXPECT_LE(damaged, 1u);
    EXPECT_TRUE(test::files_in(folder / "home" / "staging").empty());
    EXPECT_EQ(test::files_in(folder / "home" / "packs").size(), catalog.statistics().packs);
    const auto reader = catalog.read(catalog.show("alice/web:1").image);
    if (damaged > 0) return false;
    EXPECT_TRUE(test::same_content(*reader, test::make_disk(size, 1)));
    return true;
  }
  std::string last_output;
};

TEST_F(RepairCrash, KilledAtAnyMomentADiskIsAsItWasOrMended) {
  int killed = 0;
  for (const char* call : {"pwrite64", "fsync", "fdatasync", "rename", "unlink", "ftruncate"})
    for (int when = 1;; ++when) {
      SCOPED_TRACE(std::string(call) + " " + std::to_string(when));
      const int status = repair_with(call, "signal=SIGKILL", when);
      ASSERT_TRUE(status == 0 || status == 128 + 9) << last_output;
      const bool mended = expect_as_it_was_or_mended();
      if (status == 0) {
        EXPECT_TRUE(mended);
        break;
      }
      ++killed;
    }
  EXPECT_GE(killed, 10);  // otherwise it was never killed where it matters
}

TEST_F(RepairCrash, AWriteThatFailsLeavesTheDiskAsItWasOrMended) {
  int failed = 0;
  for (const char* call : {"pwrite64", "fsync", "fdatasync", "rename"})
    for (int when = 1;; ++when) {
      SCOPED_TRACE(std::string(call) + " " + std::to_string(when));
      const int status = repair_with(call, "error=EIO", when);
      ASSERT_TRUE(status == 0 || status == 1 || status == 3) << last_output;
      const bool mended = expect_as_it_was_or_mended();
      if (status == 0 && mended) break;
      ++failed;
      ASSERT_LT(when, 100);
    }
  EXPECT_GE(failed, 4);
}

}  // namespace
}  // namespace kiln

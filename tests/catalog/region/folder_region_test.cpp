#include "catalog/region/folder_region.h"

#include <chrono>
#include <thread>

#include "catalog/pack_file.h"
#include "catalog/region/regions.h"

namespace kiln {
namespace {

class FolderRegionTest : public test::Homes {
 protected:
  FolderRegion west() const { return test::folder_region("west", folder / "west", "alice"); }
};

TEST_F(FolderRegionTest, AFlippedByteIsRefusedOnArrival) {
  publish("1");
  FolderRegion there = west();
  copy(home(), "web", there);
  const auto pack = test::only_file(folder / "west" / "packs");
  test::flip_byte(pack, PackFile(pack).entries()[2].offset + record_header_size + 5);
  FolderRegion other = home("alice", "other");
  const Error error = test::error_of([&] { copy(west(), "web", other); });
  EXPECT_THAT(error.what(), testing::HasSubstr("is damaged"));
  ASSERT_EQ(other.images().size(), 1u);
  EXPECT_EQ(other.images()[0].state(), ImageState::failed);
  EXPECT_EQ(other.images()[0].life.error, error.what());
  EXPECT_TRUE(test::files_in(folder / "other" / "packs").empty());
}

TEST_F(FolderRegionTest, TheNewestIsTheOneThatWasMadeLast) {
  publish("1");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // moments have seconds
  publish("2");
  FolderRegion there = west();
  copy(home(), "web:2", there);
  copy(home(), "web:1", there);
  EXPECT_THAT(names(there), testing::ElementsAre("alice/web:2", "alice/web:1"));
  EXPECT_EQ(there.resolve("web", Action::see).image.created, home().resolve("web:2", Action::see).image.created);
}

TEST_F(FolderRegionTest, ReadsSingleChunks) {
  publish("1");
  const FolderRegion from = home();
  const Manifest manifest = from.manifest(from.images()[0].image);
  std::vector<std::byte> chunk(chunk_size);
  from.read_chunk(manifest.entries()[1].digest, chunk);
  EXPECT_EQ(sha256(chunk), manifest.entries()[1].digest);
  const Error error = test::error_of([&] { from.read_chunk(sha256("none"), chunk); });
  EXPECT_THAT(error.what(), testing::StartsWith("region \"local\" has no chunk sha256:"));
}

}  // namespace
}  // namespace kiln

#include <gmock/gmock.h>

#include <ctime>

#include "disk/manifest.h"
#include "fixture.h"

namespace kiln {
namespace {

using test::error_of;
using test::make_disk;
using test::publish;
constexpr std::uint64_t MiB = 1 << 20;

class CatalogTest : public testing::Test {
 protected:
  test::TempDir folder;
  LocalCatalog catalog{folder / "catalog"};
};

TEST_F(CatalogTest, WhatIsPublishedIsReadBack) {
  const auto disk = make_disk(5 * MiB + 12345, 1);
  const auto [image, pass, added, all] =
      publish(catalog, disk, {"web", "1.0", "testing", 0, {{"arch", "x86_64"}, {"quote", "\"'\n"}}});
  EXPECT_EQ(image.content, pass.content);
  EXPECT_EQ(image.virtual_size, disk.size());
  EXPECT_EQ(added, all);
  EXPECT_EQ(all * chunk_size, pass.data_bytes);
  const auto found = catalog.find("web:1.0");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, image.id);
  EXPECT_EQ(found->content, image.content);
  EXPECT_EQ(found->facts, (Facts{{"arch", "x86_64"}, {"quote", "\"'\n"}}));
  EXPECT_EQ(found->stored_bytes, std::filesystem::file_size(test::only_file(catalog.folder() / "packs")));
  EXPECT_TRUE(test::same_content(*catalog.open(*found), disk));
}

TEST_F(CatalogTest, EverySampleDiskComesBackWithoutThePump) {
  for (const test::DiskShape& shape : test::sample_disks(true)) {
    const auto raw = folder / (shape.name + ".raw");
    test::write_raw(raw, shape);
    const test::RawDisk disk(raw);
    const auto sink = catalog.publish({shape.name, "1", "", shape.size, {}});
    test::copy_disk(disk, *sink);
    EXPECT_TRUE(test::same_as_raw(*catalog.open(sink->image()), raw)) << shape.name;
    std::filesystem::remove(raw);
  }
  EXPECT_TRUE(catalog.verify().damaged.empty());
}

TEST_F(CatalogTest, TheSameContentIsStoredOnce) {
  const auto disk = make_disk(4 * MiB, 1);
  const auto first = publish(catalog, disk, {"a", "1", "", 0, {}});
  const auto files = test::files_in(catalog.folder() / "packs");
  const auto second = publish(catalog, disk, {"b", "1", "", 0, {}});
  EXPECT_EQ(second.new_chunks, 0u);
  EXPECT_EQ(second.image.stored_bytes, 0u);
  EXPECT_EQ(second.image.content, first.image.content);
  EXPECT_NE(second.image.id, first.image.id);
  EXPECT_EQ(test::files_in(catalog.folder() / "packs"), files);
  EXPECT_TRUE(test::same_content(*catalog.open(second.image), disk));
}

TEST_F(CatalogTest, AChangedDiskAddsOnlyItsChange) {
  auto disk = make_disk(4 * MiB, 1);
  publish(catalog, disk, {"a", "1", "", 0, {}});
  disk.flip(MiB);
  const auto second = publish(catalog, disk, {"a", "2", "", 0, {}});
  EXPECT_EQ(second.new_chunks, 1u);
  EXPECT_LT(second.image.stored_bytes, 2 * chunk_size);
  EXPECT_TRUE(test::same_content(*catalog.open(second.image), disk));
}

TEST_F(CatalogTest, AChunkThatIsTwiceInADiskIsStoredOnce) {
  std::vector<std::byte> bytes(4 * MiB);
  test::fill(std::span(bytes).first(MiB), test::Piece::Kind::random, 1);
  for (std::size_t copy = 1; copy < 4; ++copy) std::copy_n(bytes.begin(), MiB, bytes.data() + copy * MiB);
  std::copy_n(bytes.begin(), chunk_size, bytes.begin() + chunk_size);  // twice in one batch
  const test::MemoryDisk disk(std::move(bytes));
  const auto published = publish(catalog, disk, {"a", "1", "", 0, {}});
  EXPECT_EQ(published.all_chunks, 64u);
  EXPECT_EQ(published.new_chunks, 16u);
  EXPECT_TRUE(test::same_content(*catalog.open(published.image), disk));
}

TEST_F(CatalogTest, AKnownDiskIsPublishedWithoutReadingIt) {
  const auto disk = make_disk(4 * MiB, 1);
  const Image image = publish(catalog, disk, {"a", "1", "", 0, {}}).image;
  struct Unreadable final : BlockReader {
    explicit Unreadable(const BlockReader& d) : disk(d) {}
    std::uint64_t size() const override { return disk.size(); }
    Extent extent_at(std::uint64_t offset) const override { return disk.extent_at(offset); }
    void read(std::uint64_t, std::span<std::byte>) const override { throw Error("it was read"); }
    const BlockReader& disk;
  };
  const Manifest manifest = catalog.manifest(image);
  const auto sink = catalog.publish({"a", "2", "", disk.size(), {}});
  BlockSink* sinks[] = {sink.get()};
  pump(Unreadable(disk), sinks, {.known = &manifest, .known_is_whole = true});
  sink->finish();
  EXPECT_EQ(sink->image().content, image.content);
  EXPECT_EQ(sink->new_chunks(), 0u);
}

TEST_F(CatalogTest, VersionsOfTodayCountUp) {
  const auto disk = make_disk(64 * 1024, 1);
  const std::string today = publish(catalog, disk, {"a", "", "", 0, {}}).image.version;
  EXPECT_THAT(today, testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}\\.1"));
  const std::string stem = today.substr(0, 11);
  EXPECT_EQ(publish(catalog, disk, {"a", "", "", 0, {}}).image.version, stem + "2");
  publish(catalog, disk, {"a", stem + "10", "", 0, {}});
  publish(catalog, disk, {"a", stem + "x", "", 0, {}});
  EXPECT_EQ(publish(catalog, disk, {"a", "", "", 0, {}}).image.version, stem + "11");
  EXPECT_EQ(publish(catalog, disk, {"b", "", "", 0, {}}).image.version, stem + "1");
}

TEST_F(CatalogTest, AVersionIsPublishedOnce) {
  const auto disk = make_disk(64 * 1024, 1);
  publish(catalog, disk, {"web", "1.0", "", 0, {}});
  const Error error = error_of([&] { catalog.publish({"web", "1.0", "", 65536, {}}); });
  EXPECT_STREQ(error.what(), "image web:1.0 exists already");
  EXPECT_EQ(error.hint(),
            "a published image never changes: give another version, or remove it first: kiln image rm --now web:1.0");
}

TEST_F(CatalogTest, OfTwoPublishersOfAVersionTheLaterOneIsRefusedAndLeavesNothing) {
  const auto disk = make_disk(MiB, 1);
  const auto late = catalog.publish({"web", "1.0", "", disk.size(), {}});
  test::copy_disk(disk, *late, false);
  publish(catalog, make_disk(MiB, 2), {"web", "1.0", "", 0, {}});
  EXPECT_STREQ(error_of([&] { late->finish(); }).what(), "image web:1.0 exists already");
  const_cast<std::unique_ptr<ImageSink>&>(late).reset();
  EXPECT_EQ(test::files_in(catalog.folder() / "packs").size(), 1u);
  EXPECT_EQ(test::files_in(catalog.folder() / "disks").size(), 1u);
  EXPECT_TRUE(test::files_in(catalog.folder() / "staging").empty());
}

TEST_F(CatalogTest, BadNamesAreRefused) {
  EXPECT_THROW(catalog.publish({"../x", "", "", 1, {}}), Error);
  EXPECT_THROW(catalog.publish({"x", "a:b", "", 1, {}}), Error);
  EXPECT_THROW(catalog.publish({"x", "", "-c", 1, {}}), Error);
}

TEST_F(CatalogTest, APublishThatIsGivenUpLeavesNothing) {
  const auto before = test::files_in(catalog.folder());
  {
    const auto sink = catalog.publish({"a", "1", "", 9 * MiB, {}});
    test::copy_disk(make_disk(9 * MiB, 1), *sink, false);
    EXPECT_GT(test::files_in(catalog.folder() / "staging").size(), 0u);
  }
  EXPECT_EQ(test::files_in(catalog.folder()), before);
  EXPECT_FALSE(catalog.find("a"));
}

TEST_F(CatalogTest, FindsByNameVersionChannelAndId) {
  const auto disk = make_disk(64 * 1024, 1);
  const Image one = publish(catalog, disk, {"web", "1", "stable", 0, {}}).image;
  const Image two = publish(catalog, disk, {"web", "2", "testing", 0, {}}).image;
  EXPECT_EQ(catalog.find("web")->id, two.id);
  EXPECT_EQ(catalog.find("web:1")->id, one.id);
  EXPECT_EQ(catalog.find("web:stable")->id, one.id);
  EXPECT_EQ(catalog.find("web:testing")->id, two.id);
  EXPECT_EQ(catalog.find(one.id)->id, one.id);
  EXPECT_FALSE(catalog.find("web:3"));
  EXPECT_FALSE(catalog.find("we"));
  const Image three = publish(catalog, disk, {"web", "3", "stable", 0, {}}).image;
  EXPECT_EQ(catalog.find("web:stable")->id, three.id);
  EXPECT_TRUE(catalog.show("web:1").channels.empty());
  EXPECT_THAT(catalog.show("web").channels, testing::ElementsAre("stable"));
}

TEST_F(CatalogTest, WhatIsNotThereIsAnsweredWithTheNearestName) {
  const auto disk = make_disk(64 * 1024, 1);
  publish(catalog, disk, {"debian", "12.9", "stable", 0, {}});
  EXPECT_STREQ(error_of([&] { catalog.show("debain"); }).what(), "there is no image \"debain\"");
  EXPECT_EQ(error_of([&] { catalog.show("debain"); }).hint(), "did you mean \"debian\"?");
  EXPECT_STREQ(error_of([&] { catalog.show("debian:11"); }).what(),
               "image \"debian\" has no version or channel \"11\"");
  EXPECT_EQ(error_of([&] { catalog.show("debian:zzzzzzz"); }).hint(), "it has: 12.9, stable");
  EXPECT_EQ(error_of([&] { catalog.show("qqqqqqq"); }).hint(), "see which images there are: kiln image list");
}

TEST_F(CatalogTest, ListsByNameTheNewestFirst) {
  const auto disk = make_disk(64 * 1024, 1);
  for (const auto& [name, version] : {std::pair{"b", "1"}, {"a", "1"}, {"b", "2"}})
    publish(catalog, disk, {name, version, "c", 0, {}});
  std::vector<std::string> seen;
  for (const ImageEntry& entry : catalog.list())
    seen.push_back(entry.image.name + ":" + entry.image.version + (entry.channels.empty() ? "" : "*"));
  EXPECT_THAT(seen, testing::ElementsAre("a:1*", "b:2*", "b:1"));
}

TEST_F(CatalogTest, RemovingGivesBackTheSpaceThatNobodyElseNeeds) {
  auto disk = make_disk(2 * MiB, 1);
  publish(catalog, disk, {"a", "1", "", 0, {}});
  disk.flip(0);
  const Image second = publish(catalog, disk, {"a", "2", "", 0, {}}).image;
  const auto other = catalog.open(second);
  EXPECT_EQ(catalog.statistics().packs, 2u);
  EXPECT_EQ(catalog.remove("a:1").packs_removed, 0u);  // the second image needs its pack
  EXPECT_TRUE(test::same_content(*catalog.open(second), disk));
  const Removal removal = catalog.remove("a:2");
  EXPECT_EQ(removal.packs_removed, 2u);
  EXPECT_GT(removal.bytes_freed, MiB);
  EXPECT_TRUE(test::files_in(catalog.folder() / "packs").empty());
  EXPECT_TRUE(test::files_in(catalog.folder() / "disks").empty());
  EXPECT_TRUE(test::same_content(*other, disk));  // whoever reads goes on
  EXPECT_EQ(catalog.statistics().images, 0u);
  EXPECT_STREQ(error_of([&] { catalog.open(second); }).what(), "image a:2 is not in the catalog any longer");
}

TEST_F(CatalogTest, AnImageInUseIsNotRemoved) {
  publish(catalog, make_disk(MiB, 1), {"web", "1", "", 0, {}});
  const auto in_use = [](const ImageEntry&) { return std::vector<std::string>{"web-1", "web-2"}; };
  const Error error = error_of([&] { catalog.remove("web", in_use); });
  EXPECT_STREQ(error.what(), "image web:1 is in use by web-1, web-2");
  EXPECT_EQ(error.hint(), "remove what uses it first: kiln rm web-1");
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_TRUE(catalog.find("web"));
}

TEST_F(CatalogTest, FilesStayWhileSomebodyPublishes) {
  const auto disk = make_disk(2 * MiB, 1);
  publish(catalog, disk, {"a", "1", "", 0, {}});
  const auto sink = catalog.publish({"b", "1", "", disk.size(), {}});
  test::copy_disk(disk, *sink, false);  // it counts on the chunks that are there
  const Removal removal = catalog.remove("a");
  EXPECT_TRUE(removal.postponed);
  EXPECT_FALSE(catalog.find("a"));
  sink->finish();
  EXPECT_TRUE(test::same_content(*catalog.open(sink->image()), disk));
}

TEST_F(CatalogTest, APostponedRemovalIsDoneByTheNextWhoOpens) {
  publish(catalog, make_disk(2 * MiB, 1), {"a", "1", "", 0, {}});
  {
    const auto sink = catalog.publish({"b", "1", "", MiB, {}});
    EXPECT_TRUE(catalog.remove("a").postponed);
  }
  const LocalCatalog next(catalog.folder());
  EXPECT_TRUE(test::files_in(catalog.folder() / "packs").empty());
  EXPECT_TRUE(test::files_in(catalog.folder() / "staging").empty());
}

TEST_F(CatalogTest, StatisticsCountSharedChunksOnce) {
  const auto disk = make_disk(3 * MiB, 1);
  const auto first = publish(catalog, disk, {"a", "1", "", 0, {}});
  publish(catalog, disk, {"a", "2", "", 0, {}});
  const StoreStatistics statistics = catalog.statistics();
  EXPECT_EQ(statistics.images, 2u);
  EXPECT_EQ(statistics.disks, 1u);
  EXPECT_EQ(statistics.chunks, first.all_chunks);
  EXPECT_EQ(statistics.content_bytes, 2 * first.pass.data_bytes);
  EXPECT_EQ(statistics.stored_bytes, first.image.stored_bytes);
}

TEST_F(CatalogTest, FactsThatAreNotUtf8AreKeptReadable) {
  publish(catalog, make_disk(64 * 1024, 1), {"a", "1", "", 0, {{"creator", std::string("w\xff\0n", 4)}}});
  EXPECT_EQ(catalog.find("a")->facts.at("creator"), std::string("w\xef\xbf\xbd\0n", 6));
}

TEST_F(CatalogTest, TheFolderMayHaveAnyName) {
  LocalCatalog odd(folder / "it's a; db=folder timeout=0");
  publish(odd, make_disk(64 * 1024, 1), {"a", "1", "", 0, {}});
  EXPECT_TRUE(std::filesystem::exists(odd.folder() / "records.sqlite"));
}

TEST_F(CatalogTest, ALostPackHarmsOnlyItsImages) {
  const auto disk = make_disk(MiB, 1);
  publish(catalog, disk, {"a", "1", "", 0, {}});
  const auto pack = test::only_file(catalog.folder() / "packs");
  std::filesystem::remove(pack);
  EXPECT_NO_THROW(publish(catalog, make_disk(MiB, 2), {"b", "1", "", 0, {}}));
  const Error error = error_of([&] { (void)catalog.open(*catalog.find("a")); });
  EXPECT_EQ(error.what(), "the catalog has lost " + pack.string());
}

TEST_F(CatalogTest, PublishingTheContentAgainMendsWhatWasLost) {
  const auto disk = make_disk(MiB, 1);
  const Image image = publish(catalog, disk, {"a", "0", "", 0, {}}).image;
  const auto manifest = catalog.folder() / "disks" / (to_hex(image.content) + ".manifest");
  const auto other = publish(catalog, make_disk(MiB, 2), {"other", "1", "", 0, {}}).image;
  const auto its_manifest = catalog.folder() / "disks" / (to_hex(other.content) + ".manifest");
  const std::vector<std::pair<const char*, std::function<void()>>> losses{
      {"no manifest", [&] { std::filesystem::remove(manifest); }},
      {"a flipped byte", [&] { test::flip_byte(manifest, 70); }},
      {"the manifest of another disk",
       [&] { std::filesystem::copy_file(its_manifest, manifest, std::filesystem::copy_options::overwrite_existing); }},
      {"packs that are cut off",
       [&] {
         for (const auto& pack : std::filesystem::directory_iterator(catalog.folder() / "packs"))
           std::filesystem::resize_file(pack.path(), 40000);
       }},
      {"no packs", [&] {
         for (const auto& file : test::files_in(catalog.folder() / "packs"))
           std::filesystem::remove(catalog.folder() / "packs" / file);
       }}};
  int version = 1;
  for (const auto& [what, lose] : losses) {
    SCOPED_TRACE(what);
    lose();
    EXPECT_THROW((void)test::read_all(*catalog.open(*catalog.find("a:0"))), Error);
    publish(catalog, disk, {"a", std::to_string(version++), "", 0, {}});
    EXPECT_TRUE(test::same_content(*catalog.open(*catalog.find("a")), disk));
    EXPECT_TRUE(test::same_content(*catalog.open(*catalog.find("a:0")), disk));
  }
}

TEST_F(CatalogTest, RecordsOfAnotherCatalogAreRefusedAndNothingIsTouched) {
  const auto disk = make_disk(MiB, 1);
  publish(catalog, disk, {"a", "1", "", 0, {}});
  const auto copy = folder / "copy";
  std::filesystem::copy(catalog.folder(), copy, std::filesystem::copy_options::recursive);
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove((copy / "records.sqlite").string() + suffix);
  write_text(copy / "staging" / "x.sweep", "");
  for (int round = 0; round < 2; ++round) {
    const Error error = error_of([&] { LocalCatalog{copy}; });
    EXPECT_THAT(error.what(), testing::HasSubstr("are not those of the bytes in"));
  }
  std::filesystem::remove(copy / "catalog.id");  // a folder from before there were ids
  EXPECT_THAT(error_of([&] { LocalCatalog{copy}; }).what(), testing::HasSubstr("are not those of the bytes in"));
  EXPECT_EQ(test::files_in(copy / "packs").size(), 1u);
  EXPECT_EQ(test::files_in(copy / "disks").size(), 1u);
}

TEST_F(CatalogTest, WhatOlderRecordsDoNotNameIsKeptUntilTheyDoAgain) {
  const auto copy = folder / "copy", backup = folder / "backup";
  const auto records = [](const std::filesystem::path& from, const std::filesystem::path& to) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove((to / "records.sqlite").string() + suffix);
      if (const auto file = (from / "records.sqlite").string() + suffix; std::filesystem::exists(file))
        std::filesystem::copy(file, to);
    }
  };
  { publish(*std::make_unique<LocalCatalog>(copy), make_disk(MiB, 1), {"a", "1", "", 0, {}}); }
  std::filesystem::create_directories(backup / "1");
  std::filesystem::create_directories(backup / "2");
  records(copy, backup / "1");
  const auto later = make_disk(MiB, 2);
  { publish(*std::make_unique<LocalCatalog>(copy), later, {"b", "1", "", 0, {}}); }
  records(copy, backup / "2");
  records(backup / "1", copy);
  {
    LocalCatalog old(copy);
    EXPECT_THAT(old.collect().items, testing::SizeIs(2));
    EXPECT_TRUE(test::same_content(*old.open(*old.find("a")), make_disk(MiB, 1)));
  }
  EXPECT_EQ(test::files_in(copy / "packs").size(), 1u);
  EXPECT_EQ(test::files_in(copy / "quarantine").size(), 2u);
  records(backup / "2", copy);
  LocalCatalog again(copy);
  EXPECT_TRUE(test::same_content(*again.open(*again.find("b")), later));
  EXPECT_TRUE(test::files_in(copy / "quarantine").empty());
  EXPECT_TRUE(again.verify().damaged.empty());
}

TEST_F(CatalogTest, TheCollectionLeavesAloneWhatIsNotTheCatalogs) {
  std::filesystem::create_directories(catalog.folder() / "packs" / "photos");
  write_text(catalog.folder() / "packs" / "photos" / "one", "mine");
  catalog.collect();
  EXPECT_EQ(read_text(catalog.folder() / "packs" / "photos" / "one"), "mine");
}

TEST_F(CatalogTest, ARecordsFileThatIsNoneIsAClearError) {
  const auto other = folder / "other";
  { const LocalCatalog made(other); }
  for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(other.string() + "/records.sqlite" + suffix);
  write_text(other / "records.sqlite", std::string(5000, 'x'));
  const Error error = error_of([&] { LocalCatalog{other}; });
  EXPECT_STREQ(error.what(), "the catalog's records are damaged");
  EXPECT_EQ(error.hint(), "restore the file from a backup");
}

}  // namespace
}  // namespace kiln

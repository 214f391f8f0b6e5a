// Images of several disks: parts that are stored before their image is published, and what becomes of them.
#include "catalog/stored_part.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "accounts.h"
#include "catalog/pack_file.h"
#include "catalog/quotas.h"
#include "catalog/usage_meter.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t MiB = 1 << 20, vars_size = 540 * 1024;

class StoredPartTest : public test::OnBothDatabases {
 protected:
  LocalCatalog& catalog() { return accounts.as("operator"); }
  Store& store() { return catalog().view().store(); }
  std::set<std::string> files(const char* what) { return test::files_in(folder / "c" / what); }
  std::vector<NewPart> parts() {
    return {{"disk", "disk1", test::store_part(catalog(), data)}, {"vars", "vars", test::store_part(catalog(), vars)}};
  }
  Image publish(const std::string& version) {
    return test::publish(catalog(), system, {"web", version, "", 0, {}}, parts()).image;
  }

  test::MemoryDisk system = test::make_disk(2 * MiB, 1), data = test::make_disk(3 * MiB, 2),
                   vars = test::make_disk(vars_size, 3);
};

TEST_P(StoredPartTest, AnImageIsPublishedWithItsParts) {
  const Image made = publish("1"), image = *catalog().find("web:1");
  ASSERT_THAT(image.parts, SizeIs(2));
  EXPECT_EQ(made.parts[1].content, image.parts[1].content);
  EXPECT_EQ(image.parts[0].role, "disk");
  EXPECT_EQ(image.parts[0].name, "disk1");
  EXPECT_EQ(image.parts[1].role, "vars");
  EXPECT_EQ(image.parts[1].virtual_size, vars_size);
  EXPECT_EQ(image.total_size(), 5 * MiB + vars_size);
  EXPECT_TRUE(test::same_content(*catalog().open(image), system));
  EXPECT_TRUE(test::same_content(*catalog().open(image, image.parts[0]), data));
  EXPECT_TRUE(test::same_content(*catalog().open(image, image.parts[1]), vars));
  EXPECT_EQ(catalog().list().at(0).image.parts.size(), 2u);
  EXPECT_EQ(catalog().view().images(Detail::line).at(0).image.total_size(), image.total_size());
  EXPECT_EQ(image.stored_bytes, catalog().statistics().stored_bytes) << "the parts are counted, too";
  EXPECT_THAT(catalog().verify().damaged, IsEmpty());
  EXPECT_THAT(store().leases.list(), IsEmpty());
  EXPECT_THAT(files("staging"), IsEmpty());
}

TEST_P(StoredPartTest, WhatIsThereAlreadyIsNotStoredAgain) {
  publish("1");
  const auto packs = files("packs");
  const auto again = parts();
  EXPECT_EQ(again[0].disk->new_chunks(), 0u);
  EXPECT_EQ(again[0].disk->stored_bytes(), 0u);
  const auto system_as_part = test::store_part(catalog(), system);
  EXPECT_EQ(system_as_part->new_chunks(), 0u);
  EXPECT_EQ(publish("2").stored_bytes, 0u);
  EXPECT_EQ(files("packs"), packs);
  EXPECT_EQ(files("disks").size(), 3u);
}

TEST_P(StoredPartTest, TheSystemDiskFindsTheChunksOfAPartThatWaits) {
  const auto part = test::store_part(catalog(), data);
  const auto image = test::publish(catalog(), data, {"same", "1", "", 0, {}}, {{"disk", "disk1", part}});
  EXPECT_EQ(image.new_chunks, 0u);
  EXPECT_EQ(files("disks").size(), 1u);
  EXPECT_EQ(catalog().find("same")->parts[0].content, image.image.content);
}

TEST_P(StoredPartTest, TheCollectionLeavesWhatALeaseOrAnImageKeeps) {
  {
    auto waiting = parts();
    collect(store());
    EXPECT_EQ(files("disks").size(), 2u) << "they wait for their image";
    test::publish(catalog(), system, {"web", "1", "", 0, {}}, std::move(waiting));
  }
  collect(store());
  EXPECT_EQ(files("disks").size(), 3u);
  const Image image = *catalog().find("web");
  EXPECT_TRUE(test::same_content(*catalog().open(image, image.parts[0]), data));
  catalog().remove("web:1");
  for (const char* where : {"packs", "disks", "staging"}) EXPECT_THAT(files(where), IsEmpty());
}

TEST_P(StoredPartTest, APartWithoutAnImageGoes) {
  parts();
  for (const char* where : {"packs", "disks", "staging"}) EXPECT_THAT(files(where), IsEmpty());
  EXPECT_THAT(store().records.disks(), IsEmpty());
  const auto unfinished = catalog().store(MiB);
  EXPECT_THAT(catalog().list(), IsEmpty());
}

TEST_P(StoredPartTest, WhoIsKilledLeavesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    // One part stored, another one half way, and the image begun.
    LocalCatalog own(folder / "c", {"operator", true}, database);
    const auto done = test::store_part(own, data);
    const auto half = own.store(vars.size());
    test::copy_disk(vars, *half, false);
    const auto sink = own.publish({"web", "1", "", system.size(), {}});
    test::copy_disk(system, *sink, false);
    sink->set_parts({{"disk", "disk1", done}});
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  collect(store());
  for (const ImageEntry& entry : catalog().list()) EXPECT_FALSE(entry.is_there());
  for (const char* where : {"packs", "disks", "staging"}) EXPECT_THAT(files(where), IsEmpty());
  EXPECT_THAT(store().records.disks(), IsEmpty());
}

TEST_P(StoredPartTest, AnImageWhosePartsLeaseEndedIsNotPublished) {
  auto kept = parts();
  store().leases.end(kept[0].disk->lease());
  const Error error = test::error_of([&] {
    test::publish(catalog(), system, {"web", "1", "", 0, {}}, std::move(kept));
  });
  EXPECT_THAT(error.what(), HasSubstr("its lease ended"));
  EXPECT_FALSE(catalog().find("web").has_value());
  collect(store());
  EXPECT_THAT(files("packs"), IsEmpty());
}

TEST_P(StoredPartTest, TwoImagesOfOnePipelineHaveThemBoth) {
  const std::vector<NewPart> both = parts();
  test::publish(catalog(), system, {"web", "1", "", 0, {}}, both);
  const Image second = test::publish(catalog(), system, {"other", "1", "", 0, {}}, both).image;
  ASSERT_THAT(second.parts, SizeIs(2));
  EXPECT_EQ(second.stored_bytes, 0u) << "the first one counts it";
  catalog().remove("web:1");
  collect(store());
  EXPECT_TRUE(test::same_content(*catalog().open(second, second.parts[0]), data));
  EXPECT_THAT(catalog().verify().damaged, IsEmpty());
}

TEST_P(StoredPartTest, NamesAreOfUseAndThereOnce) {
  auto twice = parts();
  twice[1].name = "disk1";
  const auto sink = catalog().publish({"web", "1", "", MiB, {}});
  EXPECT_THAT(test::error_of([&] { sink->set_parts(twice); }).what(), HasSubstr("are called \"disk1\""));
  twice[1].name = "../x";
  EXPECT_EQ(test::error_of([&] { sink->set_parts(twice); }).failure(), Failure::invalid);
  const Image image = publish("2");
  const Error error = test::error_of([&] { (void)part_named(image, "disk9"); });
  EXPECT_EQ(error.hint(), "its parts are disk1, vars");
}

TEST_P(StoredPartTest, DamageInAPartIsSeenAndNamesTheImage) {
  publish("1");
  test::publish(catalog(), test::make_disk(MiB, 9), {"other", "1", "", 0, {}});
  for (const auto& file : files("packs")) {
    const auto path = folder / "c/packs" / file;
    const PackEntry entry = PackFile(path).entries()[1];
    test::flip_byte(path, entry.offset + record_header_size + 3);
  }
  EXPECT_THAT(catalog().verify().damaged, SizeIs(4));
  const VerifyReport report = catalog().verify("web");
  EXPECT_THAT(report.damaged, SizeIs(3)) << "one in each of its disks";
  for (const DamagedChunk& chunk : report.damaged) EXPECT_THAT(chunk.images, ElementsAre("web:1"));
}

TEST_P(StoredPartTest, TheQuotaCountsBytesOfPartsAndNoPartAsAnImage) {
  Quotas(catalog().view()).set("operator", 1, 4 * MiB);
  const Error error = test::error_of([&] { test::store_part(catalog(), test::make_disk(12 * MiB, 7)); });
  EXPECT_EQ(error.failure(), Failure::refused);
  publish("1");
  const Quota quota = Quotas(catalog().view()).list().at(0);
  EXPECT_EQ(quota.images, 1u);
  EXPECT_EQ(quota.reserved_bytes, 0u);
  const auto stored = static_cast<double>(catalog().statistics().stored_bytes);
  EXPECT_NEAR(static_cast<double>(quota.used_bytes), stored, 16384);
}

TEST_P(StoredPartTest, TheMeterCountsPartsAndTheImageOnce) {
  publish("1");
  const auto last = [&] {
    settle_usage(store());
    return store().usage.samples(test::long_ago, test::far_away).back();
  };
  EXPECT_EQ(last().images, 1u);
  EXPECT_EQ(last().logical, 5 * MiB + vars_size);
  std::uint64_t bytes = 0;
  for (const auto& file : files("packs"))
    for (const PackEntry& entry : PackFile(folder / "c/packs" / file).entries()) bytes += entry.stored;
  EXPECT_EQ(last().unique, bytes);
  // What is a part of one image and the system disk of another is one holding of either kind.
  test::publish(catalog(), data, {"data", "1", "", 0, {}});
  EXPECT_EQ(last().images, 2u);
  EXPECT_EQ(last().unique, bytes);
  catalog().remove("web:1");
  EXPECT_EQ(last().images, 1u);
  EXPECT_EQ(last().logical, 3 * MiB);
}

TEST_P(StoredPartTest, WhoMayNotReadTheImageReadsNoPart) {
  const auto part = test::store_part(accounts.as("alice"), data);
  const Image image =
      test::publish(accounts.as("alice"), system, {"own", "1", "", 0, {}}, {{"disk", "disk1", part}}).image;
  EXPECT_THROW((void)accounts.as("bob").open(image, image.parts[0]), Error);
  accounts.share("alice", "own:1", "bob");
  EXPECT_TRUE(test::same_content(*accounts.as("bob").open(image, image.parts[0]), data));
  // Nor hands it over, when it may be built from only.
  const Digest content = image.parts[0].content;
  EXPECT_EQ(test::error_of([&] { accounts.as("bob").require_hand_over(image.id, content, Action::copy); }).failure(),
            Failure::refused);
}

KILN_ON_BOTH_DATABASES(StoredPartTest);

}  // namespace
}  // namespace kiln

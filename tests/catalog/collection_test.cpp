// The collection beside publishes: what it takes, what it leaves, and what becomes of a publish that it took for dead.
#include "catalog/collection.h"

#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "accounts.h"
#include "catalog/store.h"
#include "support/run.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = Collectable::Kind;

constexpr std::uint64_t MiB = 1 << 20;

class CollectionTest : public test::OnBothDatabases {
 protected:
  LocalCatalog& catalog() {
    if (!catalog_) catalog_ = std::make_unique<LocalCatalog>(folder / "c", Account{"local", true}, database);
    return *catalog_;
  }
  Store& store() { return catalog().view().store(); }
  std::set<std::string> files(const char* what) { return test::files_in(folder / "c" / what); }
  Image publish(const std::string& name, std::uint64_t seed) {
    return test::publish(catalog(), test::make_disk(2 * MiB, seed), {name, "1", "", 0, {}}).image;
  }
  /// A publish of the same bytes as publish() makes, of which only the end is missing.
  std::unique_ptr<ImageSink> begin(const std::string& name, std::uint64_t seed) {
    const auto disk = test::make_disk(2 * MiB, seed);
    auto sink = catalog().publish({name, "1", "", disk.size(), {}});
    test::copy_disk(disk, *sink, false);
    return sink;
  }

 private:
  std::unique_ptr<LocalCatalog> catalog_;
};

TEST_P(CollectionTest, ADryRunSaysWhatWouldGoAndChangesNothing) {
  publish("a", 1);
  store().images.remove(catalog().show("a").image.id, ImageRecords::Remove::alive);
  std::ofstream(folder / "c/packs/stray.pack") << "left by something";
  const Collected would = collect(store(), {.dry_run = true});
  EXPECT_THAT(would.items, Contains(Field(&Collectable::kind, Kind::disk)));
  EXPECT_THAT(would.items, Contains(Field(&Collectable::name, "packs/stray.pack")));
  EXPECT_EQ(would.packs, 1u);
  EXPECT_GT(would.bytes, MiB);
  EXPECT_EQ(files("packs").size(), 2u);
  EXPECT_EQ(store().records.packs().size(), 1u);
  const Collected did = collect(store());
  EXPECT_EQ(did.items.size(), would.items.size());
  EXPECT_EQ(did.bytes, would.bytes);
  EXPECT_THAT(files("packs"), IsEmpty());
  EXPECT_THAT(files("disks"), IsEmpty());
  EXPECT_THAT(collect(store()).items, IsEmpty());
}

TEST_P(CollectionTest, WhatAPublishThatRunsCountsOnWaitsForIt) {
  publish("a", 1);
  {
    const auto sink = begin("b", 1);
    EXPECT_EQ(sink->new_chunks(), 0u);
    EXPECT_TRUE(catalog().remove("a").postponed);
    EXPECT_EQ(files("packs").size(), 1u);
    EXPECT_TRUE(collect(store()).postponed);
    sink->finish();
  }
  EXPECT_EQ(collect(store()).packs, 0u) << "b needs it now";
  EXPECT_TRUE(test::same_content(*catalog().open(*catalog().find("b")), test::make_disk(2 * MiB, 1)));
}

TEST_P(CollectionTest, WhatIsCondemnedIsNotCountedOn) {
  publish("a", 1);
  const auto first = begin("b", 1);
  catalog().remove("a");
  const auto second = begin("c", 1);
  EXPECT_EQ(first->new_chunks(), 0u);
  EXPECT_GT(second->new_chunks(), 0u);
  second->finish();
  first->finish();
  collect(store());
  EXPECT_TRUE(catalog().verify().damaged.empty());
  EXPECT_EQ(catalog().list().size(), 2u);
}

TEST_P(CollectionTest, WhoGaveUpLeavesNothingToWaitFor) {
  publish("a", 1);
  begin("b", 1).reset();
  EXPECT_THAT(store().leases.list(), IsEmpty());
  EXPECT_FALSE(catalog().remove("a").postponed);
  EXPECT_THAT(files("packs"), IsEmpty());
  EXPECT_THAT(files("staging"), IsEmpty());
}

TEST_P(CollectionTest, ThePublishWhoseLeaseEndedCannotCommit) {
  publish("a", 1);
  store().lease_term = 1s;
  const auto known = begin("b", 1), fresh = begin("c", 2);
  // As if their threads and processes had been stopped: the row is as old as it would be.
  const auto leases = store().leases.list();
  ASSERT_EQ(leases.size(), 2u);
  for (const LeaseRecord& lease : leases) store().leases.end(lease.id);
  EXPECT_FALSE(catalog().remove("a").postponed);
  EXPECT_THAT(files("packs"), IsEmpty());
  for (const auto* sink : {&known, &fresh}) {
    const Error error = test::error_of([&] { (*sink)->finish(); });
    EXPECT_THAT(error.what(), HasSubstr("its lease ended"));
    EXPECT_EQ(error.hint(), "run it again; nothing of it is visible");
  }
  EXPECT_THAT(catalog().list(), IsEmpty());
}

TEST_P(CollectionTest, AProcessThatIsStoppedPastItsTermLosesItsLeaseAndNothingElse) {
  publish("a", 1);
  const auto publisher = test::start({KILN_CATALOG_PUBLISHER, folder / "c", "b", "1", "1", "2", "0", database, "2",
                                      (folder / "reached").string(), (folder / "go").string()});
  for (int i = 0; i < 1000 && !std::filesystem::exists(folder / "reached"); ++i) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(std::filesystem::exists(folder / "reached"));
  ASSERT_EQ(::kill(publisher.pid, SIGSTOP), 0);
  EXPECT_TRUE(catalog().remove("a").postponed) << "it lives";
  for (int i = 0; i < 100 && !collect(store(), {.grace = 1s}).packs; ++i) std::this_thread::sleep_for(100ms);
  EXPECT_THAT(files("packs"), IsEmpty());
  std::ofstream(folder / "go") << "on";
  ASSERT_EQ(::kill(publisher.pid, SIGCONT), 0);
  const test::Outcome outcome = test::wait(publisher);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.output, HasSubstr("its lease ended"));
  ASSERT_EQ(catalog().list().size(), 1u);
  EXPECT_EQ(catalog().list()[0].state(), ImageState::failed);
  collect(store());
  EXPECT_THAT(files("staging"), IsEmpty());
  EXPECT_THAT(files("disks"), IsEmpty());
  publish("b", 1);
  EXPECT_TRUE(catalog().verify().damaged.empty());
}

KILN_ON_BOTH_DATABASES(CollectionTest);

}  // namespace
}  // namespace kiln

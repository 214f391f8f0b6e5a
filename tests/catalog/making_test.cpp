// Images that are being made, and those that failed.
#include <gmock/gmock.h>

#include "accounts.h"
#include "catalog/collection.h"
#include "catalog/lease.h"
#include "catalog/quotas.h"
#include "catalog/store.h"

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t MiB = 1 << 20;

class MakingTest : public test::OnBothDatabases {
 protected:
  LocalCatalog& alice() { return accounts.as("alice"); }
  std::vector<ImageEntry> listed(const std::string& account) { return accounts.as(account).list(); }
  std::unique_ptr<ImageSink> begin(const std::string& version) {
    return alice().publish({"web", version, "", MiB, {{"os.distro", "debian"}}});
  }
  void publish(const std::string& version) {
    test::publish(alice(), test::make_disk(MiB, 1), {"web", version, "", 0, {}});
  }
  void fail(const std::string& version, const std::string& why) { begin(version)->failed(why); }

  /// As if the process of a publish had been killed.
  std::string abandon() {
    const std::string id = random_id();
    const Moment now = now_moment();
    ImageRow row{.id = id,
                 .region = home_region,
                 .owner = "alice",
                 .name = "web",
                 .version = "1",
                 .created = now,
                 .facts = "{}"};
    alice().view().store().leases.begin(
        {id, home_region, "alice", Lease::this_host(), now, later(now, Lease::usual_term), 0}, row);
    return id;
  }
};

TEST_P(MakingTest, ItsOwnerSeesItAndNobodyUsesIt) {
  const auto sink = begin("");
  ASSERT_EQ(listed("alice").size(), 1u);
  const ImageEntry entry = listed("alice").front();
  EXPECT_EQ(entry.state(), ImageState::creating);
  EXPECT_THAT(entry.image.version, testing::EndsWith(".1")) << "it is set aside for it";
  EXPECT_EQ(entry.image.facts.at("os.distro"), "debian");
  EXPECT_EQ(listed("operator").size(), 1u);
  EXPECT_THAT(listed("bob"), IsEmpty());
  EXPECT_EQ(alice().find("web"), std::nullopt);
  const Error error = test::error_of([&] { alice().show(entry.reference(), Action::launch); });
  EXPECT_THAT(error.what(), HasSubstr("is creating and cannot be launched"));
  EXPECT_EQ(test::error_of([&] { alice().remove(entry.reference()); }).failure(), Failure::refused);

  publish("");
  const auto disk = test::make_disk(MiB, 2);
  BlockSink* sinks[] = {sink.get()};
  pump(disk, sinks);
  sink->finish();
  EXPECT_EQ(sink->image().version, entry.image.version);
  EXPECT_EQ(sink->image().id, entry.image.id);
  ASSERT_EQ(listed("alice").size(), 2u);
  EXPECT_EQ(listed("alice").front().image.id, sink->image().id) << "the newest is what was finished last";
}

TEST_P(MakingTest, GivenUpWithoutAnErrorItIsForgotten) {
  begin("1").reset();
  EXPECT_THAT(listed("alice"), IsEmpty());
}

TEST_P(MakingTest, AFailureKeepsItsErrorUntilItIsRemoved) {
  fail("1", "the disk \x1b[31mbroke\n at byte 7");
  ASSERT_EQ(listed("alice").size(), 1u);
  const ImageEntry entry = listed("alice").front();
  EXPECT_EQ(entry.state(), ImageState::failed);
  EXPECT_EQ(entry.life.error, "the disk \\x1b[31mbroke\\n at byte 7");
  EXPECT_THAT(listed("bob"), IsEmpty());
  EXPECT_EQ(alice().find("web:1"), std::nullopt);
  EXPECT_THAT(test::error_of([&] { alice().show("web", Action::build); }).what(), HasSubstr("no version of image"));
  alice().remove("web:1");
  EXPECT_THAT(listed("alice"), IsEmpty());
}

TEST_P(MakingTest, AFailureIsInNobodysWay) {
  publish("1");
  fail("2", "no space");
  EXPECT_EQ(alice().find("web")->version, "1");
  publish("2");
  ASSERT_EQ(listed("alice").size(), 2u);
  EXPECT_EQ(listed("alice").front().state(), ImageState::available);
  fail("", "no space");
  fail("", "no space again");
  EXPECT_EQ(listed("alice").size(), 4u) << "without a version, each keeps its error";
  Quotas(accounts.as("operator").view()).set("alice", 3, {});
  publish("3");
}

TEST_P(MakingTest, AFailureIsForgottenAfterItsTerm) {
  fail("1", "no space");
  const ImageEntry entry = listed("alice").front();
  EXPECT_THAT(alice().view().store().images.purge_expired(later(now_moment(), failure_term - std::chrono::hours(1))),
              IsEmpty());
  EXPECT_THAT(alice().view().store().images.purge_expired(later(now_moment(), failure_term + std::chrono::hours(1))),
              testing::ElementsAre("web:1"));
}

TEST_P(MakingTest, OfOneWhoWasKilledTheCollectionSaysSo) {
  const std::string id = abandon();
  ASSERT_EQ(listed("alice").front().state(), ImageState::creating);
  collect(alice().view().store());
  ASSERT_EQ(listed("alice").size(), 1u);
  const ImageEntry entry = listed("alice").front();
  EXPECT_EQ(entry.image.id, id);
  EXPECT_EQ(entry.state(), ImageState::failed);
  EXPECT_THAT(entry.life.error, HasSubstr("was killed"));
  publish("1");
  EXPECT_EQ(listed("alice").size(), 1u);
}

TEST_P(MakingTest, OfTwoOfOneVersionTheFirstToFinishIsThere) {
  const auto first = begin("1"), second = begin("1");
  EXPECT_EQ(listed("alice").size(), 1u);
  const auto disk = test::make_disk(MiB, 1);
  for (const auto& sink : {second.get(), first.get()}) {
    BlockSink* sinks[] = {sink};
    pump(disk, sinks);
  }
  second->finish();
  const Error error = test::error_of([&] { first->finish(); });
  EXPECT_STREQ(error.what(), "image web:1 exists already");
  first->failed(error.what());
  const_cast<std::unique_ptr<ImageSink>&>(first).reset();
  ASSERT_EQ(listed("alice").size(), 1u);
  EXPECT_EQ(listed("alice").front().image.id, second->image().id);
}

TEST_P(MakingTest, WhatAReadErrorSaysIsItsError) {
  struct Broken final : BlockReader {
    std::uint64_t size() const override { return MiB; }
    Extent extent_at(std::uint64_t offset) const override { return {offset, MiB - offset, true, false}; }
    void read(std::uint64_t, std::span<std::byte>) const override { throw Error("the source is cut off"); }
  };
  {
    const auto sink = begin("1");
    BlockSink* sinks[] = {sink.get()};
    EXPECT_THROW(pump(Broken(), sinks), Error);
  }
  EXPECT_EQ(listed("alice").front().life.error, "the source is cut off");
  {
    const auto sink = begin("2");
    std::stop_source stop;
    stop.request_stop();
    BlockSink* sinks[] = {sink.get()};
    EXPECT_THROW(pump(Broken(), sinks, {.stop = stop.get_token()}), Error);
  }
  EXPECT_EQ(listed("alice").size(), 1u) << "who stops it knows why";
}

KILN_ON_BOTH_DATABASES(MakingTest);

}  // namespace
}  // namespace kiln

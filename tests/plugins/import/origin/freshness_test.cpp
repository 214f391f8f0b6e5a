// What the download cache has, and when that will do.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include "plugins/import/origin/fetching.h"

namespace kiln::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class Freshness : public Fetching {
 protected:
  Freshness() { server().put("a.raw", first); }
  /// Whether a kiln that has seen it would take what it has seen.
  bool still_there(Table more = {}) {
    more["url"] = text(server().url("a.raw"));
    return load_stage("import").still_there_with(params(more), ctx.known_facts, ctx.fake_catalog);
  }
  const std::string first = random_bytes(50'000), second = random_bytes(60'000, 2);
};

TEST_F(Freshness, AsksWhetherItChanged) {
  get("a.raw");
  get("a.raw");
  EXPECT_EQ(content(), first);
  EXPECT_THAT(server().requests(), ElementsAre(EndsWith(" 200"), HasSubstr(" 304 if-none-match=\"")));
  server().put("a.raw", second);
  get("a.raw");
  EXPECT_EQ(content(), second);
  EXPECT_EQ(ctx.known_facts.at("source.sha256"), to_hex(sha256(second)));
  EXPECT_THAT(server().requests(), ElementsAre(HasSubstr(" 200 if-none-match=\"")));
  EXPECT_THAT(cached(), AllOf(SizeIs(2), Not(Contains(to_hex(sha256(first))))));
}

TEST_F(Freshness, NeverAsksOrAlwaysFetchesOrAsksAfterAWhile) {
  get("a.raw");
  server().put("a.raw", second);
  server().requests();
  get("a.raw", {{"refresh", text("never")}});
  EXPECT_EQ(content(), first);
  get("a.raw", {{"ttl", text("1h")}});
  EXPECT_EQ(content(), first);
  EXPECT_THAT(server().requests(), IsEmpty());
  server().put("a.raw", first);
  get("a.raw", {{"refresh", text("always")}});
  EXPECT_THAT(server().requests(), ElementsAre("GET /a.raw 200"));
  EXPECT_EQ(content(), first);
}

TEST_F(Freshness, WhatHasTheDigestNeedsNoServer) {
  const Table expected{{"sha256", text(to_hex(sha256(first)))}};
  get("a.raw", expected);
  server().requests();
  run({{"url", text("http://127.0.0.1:9/elsewhere.raw")}, {"sha256", text(to_hex(sha256(first)))}});
  EXPECT_EQ(content(), first);
  EXPECT_THAT(server().requests(), IsEmpty());
}

TEST_F(Freshness, EveryDigestThatIsExpectedIsCompared) {
  const Value right = text(to_hex(sha256(first)));
  get("a.raw", {{"sha256", right}});
  EXPECT_EQ(failure_of("a.raw", {{"sha256", right}, {"sha512", text(std::string(128, 'a'))}}).code(),
            code::hash_mismatch);
  get("a.raw", {{"sha256", right}, {"sha512", text(Hasher(Algorithm::sha512).update(first).hex())}});
  EXPECT_EQ(failure_of("a.raw", {{"sha256", right}, {"sha512", text(std::string(128, 'a'))}}).code(),
            code::hash_mismatch);
}

TEST_F(Freshness, ThatSomethingIsUnchangedIsNoAnswerToWhoHasNothing) {
  const Error error = failure_of("a.raw?status=304");
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("the server answers 304")));
}

TEST_F(Freshness, ACopyThatIsNotWhatItWasIsFetchedAgain) {
  get("a.raw");
  const auto copy = ctx.cache() / "downloads" / to_hex(sha256(first));
  std::filesystem::remove(copy);
  write_text(copy, "short");
  get("a.raw", {{"refresh", text("never")}});
  EXPECT_EQ(content(), first);
  write_text(ctx.cache() / "downloads" / ("url-" + to_hex(sha256(server().url("a.raw"))) + ".json"), "{ damaged");
  get("a.raw", {{"refresh", text("never")}});
  EXPECT_EQ(content(), first);
}

TEST_F(Freshness, AServerThatIsGoneIsAnErrorThatNamesTheCopy) {
  std::string url;
  {
    const FileServer brief;
    brief.put("b.raw", second);
    url = brief.url("b.raw");
    run({{"url", text(url)}});
  }
  const Error error = failure({{"url", text(url)}, {"retries", number(0)}});
  EXPECT_STREQ(error.what(), "b.raw cannot be downloaded");
  EXPECT_THAT(error.hint(), HasSubstr("refresh = \"never\" takes the copy of 20"));
  run({{"url", text(url)}, {"refresh", text("never")}});
  EXPECT_EQ(content(), second);
}

TEST_F(Freshness, AnEarlierResultIsAskedForInOneRequest) {
  get("a.raw");
  server().requests();
  EXPECT_TRUE(still_there());
  EXPECT_THAT(server().requests(), ElementsAre(HasSubstr(" 304 if-none-match=\"")));
  EXPECT_TRUE(still_there({{"refresh", text("never")}}));
  EXPECT_TRUE(still_there({{"ttl", text("1h")}}));
  EXPECT_TRUE(still_there({{"sha256", text(std::string(64, 'a'))}}));
  EXPECT_FALSE(still_there({{"refresh", text("always")}}));
  EXPECT_THAT(server().requests(), IsEmpty());
  server().put("a.raw", second);
  EXPECT_FALSE(still_there());
  EXPECT_THAT(server().requests(), ElementsAre(HasSubstr(" 200 if-none-match=\"")));
}

TEST_F(Freshness, TheKeyOfAStageAsksNobody) {
  const Table table = params({{"url", text(server().url("a.raw"))}});
  EXPECT_EQ(load_stage("import").fingerprint_with(table), load_stage("import").fingerprint_with(table));
  EXPECT_THAT(server().requests(), IsEmpty());
}

TEST_F(Freshness, TwoAtOnceFetchItOnce) {
  const auto folder = ctx.cache() / "downloads";
  std::filesystem::create_directories(folder);
  const auto part = folder / ("url-" + to_hex(sha256(server().url("a.raw"))) + ".part");
  int lock = ::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  bool waited = false;
  ctx.on_progress = [&](const Progress& p) {
    if (p.what != "waiting: another kiln downloads a.raw" || lock < 0) return;
    waited = true;
    EXPECT_THAT(server().requests(), IsEmpty());
    ::unlink(part.c_str());
    ::close(lock);
    lock = -1;
  };
  get("a.raw");
  EXPECT_TRUE(waited);
  EXPECT_EQ(content(), first);
}

}  // namespace
}  // namespace kiln::test

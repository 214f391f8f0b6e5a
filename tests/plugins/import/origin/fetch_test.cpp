// Downloads: what is recorded, retries, what is resumed, and servers that mean no good.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <regex>
#include <thread>

#include "plugins/import/origin/fetching.h"

namespace kiln::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

class Fetch : public Fetching {};

const std::string disk = random_bytes(300'000) + std::string(200'000, '\0') + random_bytes(1000, 2);
const std::string other = random_bytes(400'000, 7);

TEST_F(Fetch, TakesWhatTheServerHasAndRecordsWhereItIsFrom) {
  server().put("a.raw", disk);
  get("a.raw?token=secret");
  EXPECT_EQ(content(), disk);
  EXPECT_EQ(ctx.summed_up, "a.raw  plain, 489.3 KiB");
  const Facts& facts = ctx.known_facts;
  EXPECT_EQ(facts.at("source.file"), "a.raw");
  EXPECT_EQ(facts.at("source.url"), server().url("a.raw"));  // a query may be a secret
  EXPECT_EQ(facts.at("source.sha256"), to_hex(sha256(disk)));
  EXPECT_EQ(facts.at("source.size"), "501000");
  EXPECT_THAT(facts.at("source.etag"), AllOf(StartsWith("\""), SizeIs(34)));
  EXPECT_THAT(facts.at("source.modified"), EndsWith(" GMT"));
  EXPECT_TRUE(std::regex_match(facts.at("source.fetched"), std::regex(R"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ)")));
  EXPECT_THAT(ctx.warnings, testing::Contains(HasSubstr("not encrypted and no digest is expected")));
}

TEST_F(Fetch, KeepsItReadableForItsOwnerOnlyWithItsHoles) {
  server().put("a.raw", disk);
  get("a.raw");
  struct stat folder {
  }, file{};
  ASSERT_EQ(::stat((ctx.cache() / "downloads").c_str(), &folder), 0);
  ASSERT_EQ(::stat((ctx.cache() / "downloads" / to_hex(sha256(disk))).c_str(), &file), 0);
  EXPECT_EQ(folder.st_mode & 0777U, 0700U);
  EXPECT_EQ(file.st_mode & 0777U, 0400U);
  EXPECT_LT(file.st_blocks * 512, 501'000 - 100'000);
  EXPECT_THAT(cached(), ElementsAre(to_hex(sha256(disk)), StartsWith("url-")));
}

TEST_F(Fetch, GoesOnWhereTheConnectionWasLost) {
  server().put("a.raw", disk);
  get("a.raw?drop=100000&times=2");
  EXPECT_EQ(content(), disk);
  EXPECT_EQ(ctx.known_facts.at("source.sha256"), to_hex(sha256(disk)));
  const auto requests = server().requests();
  ASSERT_THAT(requests, SizeIs(3));
  EXPECT_THAT(requests[0], EndsWith(" 200"));
  EXPECT_THAT(requests[1], AllOf(HasSubstr(" 206 range=bytes=100000- if-range=\"")));
  EXPECT_THAT(requests[2], AllOf(HasSubstr(" 206 range=bytes=200000- if-range=\"")));
}

TEST_F(Fetch, StartsOverWhenTheFileIsAnotherMeanwhile) {
  server().put("a.raw", disk);
  server().put("b.raw", other);
  get("a.raw?drop=100000&times=1&then=b.raw");
  EXPECT_EQ(content(), other);
  EXPECT_THAT(server().requests(), ElementsAre(EndsWith(" 200"), HasSubstr(" 200 range=bytes=100000- if-range=")));
}

TEST_F(Fetch, GoesOnInTheNextRun) {
  server().put("a.raw", disk);
  const Error error = failure_of("a.raw?drop=100000&times=1&now", {{"retries", number(0)}});
  EXPECT_STREQ(error.what(), "a.raw cannot be downloaded");
  EXPECT_EQ(error.code(), code::truncated);
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("it ends at byte 100000 of 501000")));
  EXPECT_THAT(cached(), ElementsAre(EndsWith(".part"), EndsWith(".part.json")));
  get("a.raw?drop=100000&times=1&now");
  EXPECT_EQ(content(), disk);
  EXPECT_THAT(server().requests(), ElementsAre(EndsWith(" 200"), HasSubstr(" 206 range=bytes=100000-")));
  EXPECT_THAT(cached(), SizeIs(2));
}

TEST_F(Fetch, DoesNotGoOnWithoutAnythingThatTellsVersionsApart) {
  server().put("a.raw", disk);
  get("a.raw?plain&drop=100000&times=1");
  EXPECT_EQ(content(), disk);
  EXPECT_THAT(server().requests(), ElementsAre(EndsWith(" 200"), EndsWith(" 200")));
}

TEST_F(Fetch, WithADigestAnyServerMayGoOn) {
  server().put("a.raw", disk);
  server().put("b.raw", disk);
  get("a.raw?drop=100000",
      {{"mirrors", texts({server().url("b.raw")})}, {"retries", number(0)}, {"sha256", text(to_hex(sha256(disk)))}});
  EXPECT_EQ(content(), disk);
  EXPECT_THAT(server().requests(), ElementsAre(StartsWith("GET /a.raw"), "GET /b.raw 206 range=bytes=100000-"));
}

TEST_F(Fetch, WhatWasResumedFromTwoVersionsIsFetchedOnceMore) {
  server().put("a.raw", random_bytes(disk.size(), 9));
  server().put("b.raw", disk);
  get("a.raw?drop=100000",
      {{"mirrors", texts({server().url("b.raw")})}, {"retries", number(0)}, {"sha256", text(to_hex(sha256(disk)))}});
  EXPECT_EQ(content(), disk);
  EXPECT_THAT(server().requests(), ElementsAre(testing::_, "GET /b.raw 206 range=bytes=100000-", "GET /b.raw 200"));
  server().put("a.raw", other);  // of another length: that is seen at once
  get("a.raw?drop=100000", {{"mirrors", texts({server().url("b.raw")})},
                            {"retries", number(0)},
                            {"refresh", text("always")},
                            {"sha256", text(to_hex(sha256(disk)))}});
  EXPECT_EQ(content(), disk);
}

TEST_F(Fetch, DoesNotFetchAWrongFileForEver) {
  server().put("a.raw", other);
  const Error error = failure_of("a.raw?drop=100000", {{"sha256", text(to_hex(sha256(disk)))}, {"retries", number(9)}});
  EXPECT_EQ(error.code(), code::hash_mismatch);
  EXPECT_EQ(server().requests().size(), 8U);
}

TEST_F(Fetch, TakesAnotherRangeThanTheOneAskedForForNoAnswer) {
  server().put("a.raw", disk);
  get("a.raw?drop=100000&weird&times=2");
  EXPECT_EQ(content(), disk);
  EXPECT_EQ(server().requests().size(), 3U);
}

TEST_F(Fetch, TriesAgainWhatMayPassAndOnlyThat) {
  server().put("a.raw", disk);
  get("a.raw?status=503&times=2");
  EXPECT_EQ(content(), disk);
  EXPECT_EQ(server().requests().size(), 3U);
  Error error = failure_of("a.raw?status=500");
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("/a.raw: the server answers 500")));
  EXPECT_EQ(server().requests().size(), 3U);
  error = failure_of("nothing.raw");
  EXPECT_STREQ(error.what(), "nothing.raw cannot be downloaded");
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("the server answers 404")));
  EXPECT_EQ(server().requests().size(), 1U);
  EXPECT_THAT(cached(), testing::Not(testing::Contains(EndsWith(".part"))));
}

TEST_F(Fetch, TakesTheFirstMirrorThatHasIt) {
  server().put("a.raw", disk);
  get("nothing.raw", {{"mirrors", texts({server().url("a.raw?status=403"), server().url("a.raw")})}});
  EXPECT_EQ(content(), disk);
  EXPECT_EQ(ctx.known_facts.at("source.url"), server().url("a.raw"));
  EXPECT_EQ(ctx.known_facts.at("source.file"), "nothing.raw");
  const Error error = failure_of("no.raw", {{"mirrors", texts({server().url("none.raw")})}});
  EXPECT_EQ(error.evidence(), (std::vector<std::string>{server().url("no.raw: the server answers 404"),
                                                        server().url("none.raw: the server answers 404")}));
}

TEST_F(Fetch, RefusesAnotherDigestAndTriesTheNextMirror) {
  server().put("a.raw", other);
  server().put("b.raw", disk);
  const Value wanted = text(to_hex(sha256(disk)));
  const Error error = failure_of("a.raw", {{"sha256", wanted}});
  EXPECT_STREQ(error.what(), "a.raw does not have the expected sha256");
  EXPECT_EQ(error.code(), code::hash_mismatch);
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_THAT(cached(), IsEmpty());
  get("a.raw", {{"sha256", wanted}, {"mirrors", texts({server().url("b.raw")})}});
  EXPECT_EQ(content(), disk);
}

TEST_F(Fetch, TakesAFileOfUnknownLength) {
  server().put("a.raw", disk);
  get("a.raw?chunked");
  EXPECT_EQ(content(), disk);
}

TEST_F(Fetch, ALengthThatIsALieIsATruncatedFile) {
  server().put("a.raw", disk);
  const Error error = failure_of("a.raw?claim=600000", {{"retries", number(1)}});
  EXPECT_EQ(error.code(), code::truncated);
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("a.raw: ")));
  get("a.raw?claim=1000");  // what a server calls the end is the end; a digest would tell
  EXPECT_EQ(content(), disk.substr(0, 1000));
}

TEST_F(Fetch, ALimitIsOfWhatIsSaidAndOfWhatArrives) {
  server().put("a.raw", disk);
  const Table limit{{"limit", text("100K")}};
  for (const char* rest : {"a.raw", "a.raw?endless", "a.raw?claim=99999999999999"}) {
    const Error error = failure_of(rest, limit);
    EXPECT_STREQ(error.what(), "the file behind the URL is larger than the 100.0 KiB that are allowed") << rest;
    EXPECT_EQ(error.code(), code::disk_too_large);
    EXPECT_EQ(error.failure(), Failure::refused);
  }
  EXPECT_THAT(cached(), IsEmpty());
}

TEST_F(Fetch, DoesNotWaitForASlowServer) {
  server().put("a.raw", disk);
  for (const char* rest : {"a.raw?slow=0.2", "a.raw?header=0.1"}) {
    const Duration took = timed([&] {
      const Error error = failure_of(rest, {{"timeout", text("400ms")}, {"retries", number(0)}});
      EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("the server was silent, or slower than 1 KiB/s"))) << rest;
    });
    EXPECT_LT(took, Duration(5000));
  }
}

TEST_F(Fetch, StopsAtOnce) {
  server().put("a.raw", disk);
  for (const char* rest : {"a.raw?slow=0.2", "a.raw?status=503"}) {
    ctx.stop_source = {};
    std::thread stop([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      ctx.stop_source.request_stop();
    });
    const Duration took = timed([&] {
      EXPECT_TRUE(is_cancelled(failure_of(rest, {{"retries", number(50)}, {"timeout", text("20s")}})));
    });
    stop.join();
    EXPECT_LT(took, Duration(5000)) << rest;
  }
}

TEST_F(Fetch, ServersThatAreNotThereAreSaidSo) {
  Error error = failure({{"url", text("http://127.0.0.1:9/a.raw")}, {"retries", number(0)}});
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("Couldn't connect")));
  error = failure({{"url", text("http://no-such-host.invalid/a.raw")}, {"retries", number(0)}});
  EXPECT_THAT(error.evidence(), ElementsAre(HasSubstr("resolve host")));
}

}  // namespace
}  // namespace kiln::test

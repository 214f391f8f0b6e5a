#include "catalog/lifecycle.h"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "accounts.h"

namespace kiln {
namespace {

using test::error_of;
using test::far_away;
using test::long_ago;

TEST(Moments, AreReadAsPeopleWriteThem) {
  EXPECT_EQ(parse_moment("2026-11-22"), "2026-11-22T00:00:00Z");
  EXPECT_EQ(parse_moment("2026-11-22T20:15:01Z"), "2026-11-22T20:15:01Z");
  EXPECT_EQ(parse_moment("2028-02-29"), "2028-02-29T00:00:00Z");
  const Moment before = now_moment();
  EXPECT_GE(parse_moment("now"), before);
  EXPECT_GT(parse_moment("+2h"), parse_moment("+90m"));
  EXPECT_GT(parse_moment("+2d"), parse_moment("+47h"));
  EXPECT_LT(parse_moment("+2d"), parse_moment("+49h"));
}

TEST(Moments, WhatIsNoDateIsRefusedWithExamples) {
  for (const char* text : {"",
                           "tomorrow",
                           "2026-02-30",
                           "2027-02-29",
                           "2026-13-01",
                           "26-01-01",
                           "2026-11-22T25:00:00Z",
                           "2026-11-22T20:00",
                           "2026-11-22 ",
                           "0026-01-01",
                           "  26-01-01",
                           "2026-1-1",
                           "2026-11- 1",
                           "1969-12-31",
                           "2026-11-22T20:0:00Z",
                           "2026-11-22T2:00:00Z",
                           " 2026-11-22",
                           "02026-01-01",
                           "2026-11-22x",
                           "+",
                           "+d",
                           "+x",
                           "-1d",
                           "+9999999d"}) {
    const Error error = error_of([&] { parse_moment(text); });
    EXPECT_EQ(error.what(), "\"" + std::string(text) + "\" is no date");
    EXPECT_EQ(error.hint(), "write 2026-12-31, 2026-12-31T18:00:00Z, now, or +30d");
    EXPECT_EQ(error.failure(), Failure::invalid);
  }
}

TEST(States, TheStrongestOfThemIsShown) {
  using Making = Lifecycle::Making;
  using State = ImageState;
  const Moment past = long_ago, now = "2026-11-22T20:00:00Z", future = far_away;
  const struct {
    Lifecycle life;
    State state;
  } rows[] = {
      {{}, State::available},
      {{.deprecated_at = future}, State::available},
      {{.deprecated_at = now}, State::deprecated},
      {{.deprecated_at = past}, State::deprecated},
      {{.deprecated_at = past, .obsolete_at = future}, State::deprecated},
      {{.deprecated_at = past, .obsolete_at = now}, State::obsolete},
      {{.obsolete_at = past}, State::obsolete},
      {{.revoked_at = future}, State::available},
      {{.deprecated_at = past, .obsolete_at = past, .revoked_at = now}, State::revoked},
      {{.ancestor_revoked = true}, State::revoked},
      {{.making = Making::creating, .revoked_at = past}, State::creating},
      {{.making = Making::failed, .error = "no space"}, State::failed},
      {{.obsolete_at = past, .revoked_at = past, .trashed_at = past, .purge_at = future}, State::trashed},
      {{.making = Making::failed, .trashed_at = past}, State::trashed},
  };
  int row = 0;
  for (const auto& [life, state] : rows) EXPECT_EQ(to_text(life.at(now)), to_text(state)) << "row " << row++;
}

TEST(States, ATermInTheTrashEnds) {
  EXPECT_FALSE((Lifecycle{.trashed_at = long_ago, .purge_at = far_away}.is_over(now_moment())));
  EXPECT_FALSE((Lifecycle{.trashed_at = long_ago}.is_over(now_moment())));
  EXPECT_TRUE((Lifecycle{.trashed_at = long_ago, .purge_at = long_ago}.is_over(now_moment())));
}

TEST(States, ADateActsThoughNothingWasRunning) {
  const test::TempDir folder;
  {
    test::Accounts accounts(folder / "c");
    for (const char* image : {"web:1", "db:1"}) accounts.publish("alice", image);
    const Moment soon = parse_moment("+1s");
    accounts.life("alice").revoke("web:1", soon, "leaked a key");
    accounts.life("alice").trash("db:1", {}, soon);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  const LocalCatalog later(folder / "c", {"alice", false});
  EXPECT_EQ(later.show("web:1").state(), ImageState::revoked);
  EXPECT_THROW((void)later.show("web:1", Action::launch), Error);
  EXPECT_STREQ(error_of([&] { (void)later.show("db:1"); }).what(), "there is no image \"db\"");
}

}  // namespace
}  // namespace kiln

// Every action by every role on an image in every state, public or not: the catalog does what the grid below says.

#include <gmock/gmock.h>
#include <soci/soci.h>

#include "accounts.h"

namespace kiln {
namespace {

using test::error_of;

// The columns: creating, available, deprecated, obsolete, revoked, an ancestor revoked, in the trash, failed.
//
//   +  allowed                      x  refused: not in this state
//   -  refused: not by this role    .  the image does not exist for this role
struct Row {
  Action action;
  const char* roles;
  const char* is_private;
  const char* is_public;
};

constexpr const char* keepers = "owner operator operator-member";
constexpr const char* members = "pending accepted copier";
constexpr const char* outside = "rejected removed stranger";

const Row grid[] = {
    //                                              CADORATF    CADORATF
    {Action::see, keepers, /*                     */ "++++++++", "++++++++"},
    {Action::see, members, /*                     */ ".+++++..", ".+++++.."},
    {Action::see, outside, /*                     */ "........", ".+++++.."},

    {Action::launch, keepers, /*                  */ "x++xxxxx", "x++xxxxx"},
    {Action::launch, "accepted copier", /*        */ ".++xxx..", ".++xxx.."},
    {Action::launch, "pending", /*                */ ".-----..", ".++xxx.."},
    {Action::launch, outside, /*                  */ "........", ".++xxx.."},

    {Action::build, keepers, /*                   */ "x++xxxxx", "x++xxxxx"},
    {Action::build, "accepted copier", /*         */ ".++xxx..", ".++xxx.."},
    {Action::build, "pending", /*                 */ ".-----..", ".++xxx.."},
    {Action::build, outside, /*                   */ "........", ".++xxx.."},

    {Action::write_out, keepers, /*               */ "x+++xxxx", "x+++xxxx"},
    {Action::write_out, "pending", /*             */ ".-----..", ".+++xx.."},
    {Action::write_out, "accepted copier", /*     */ ".-----..", ".+++xx.."},
    {Action::write_out, outside, /*               */ "........", ".+++xx.."},

    {Action::copy, keepers, /*                    */ "x+++xxxx", "x+++xxxx"},
    {Action::copy, "copier", /*                   */ ".+++xx..", ".+++xx.."},
    {Action::copy, "pending accepted", /*         */ ".-----..", ".+++xx.."},
    {Action::copy, outside, /*                    */ "........", ".+++xx.."},

    {Action::change, keepers, /*                  */ "x+++++x+", "x+++++x+"},
    {Action::change, members, /*                  */ ".-----..", ".-----.."},
    {Action::change, outside, /*                  */ "........", ".-----.."},

    {Action::promote, keepers, /*                 */ "x++xxxxx", "x++xxxxx"},
    {Action::promote, members, /*                 */ ".-----..", ".-----.."},
    {Action::promote, outside, /*                 */ "........", ".-----.."},

    {Action::share, keepers, /*                   */ "x+++++xx", "x+++++xx"},
    {Action::share, members, /*                   */ ".-----..", ".-----.."},
    {Action::share, outside, /*                   */ "........", ".-----.."},

    {Action::retire, keepers, /*                  */ "x+++++xx", "x+++++xx"},
    {Action::retire, members, /*                  */ ".-----..", ".-----.."},
    {Action::retire, outside, /*                  */ "........", ".-----.."},

    {Action::revoke, keepers, /*                  */ "x++++++x", "x++++++x"},
    {Action::revoke, members, /*                  */ ".-----..", ".-----.."},
    {Action::revoke, outside, /*                  */ "........", ".-----.."},

    {Action::trash, keepers, /*                   */ "x+++++x+", "x+++++x+"},
    {Action::trash, members, /*                   */ ".-----..", ".-----.."},
    {Action::trash, outside, /*                   */ "........", ".-----.."},

    {Action::restore, keepers, /*                 */ "xxxxxx+x", "xxxxxx+x"},
    {Action::restore, members, /*                 */ ".-----..", ".-----.."},
    {Action::restore, outside, /*                 */ "........", ".-----.."},

    {Action::purge, keepers, /*                   */ "xxxxxx++", "xxxxxx++"},
    {Action::purge, members, /*                   */ ".-----..", ".-----.."},
    {Action::purge, outside, /*                   */ "........", ".-----.."},

    {Action::answer, "owner operator", /*         */ "--------", "--------"},
    {Action::answer, "operator-member", /*        */ "x+++++xx", "x+++++xx"},
    {Action::answer, members, /*                  */ ".+++++..", ".+++++.."},
    {Action::answer, outside, /*                  */ "........", ".-----.."},

    {Action::open_up, "operator operator-member", "x+++++xx", "x+++++xx"},
    {Action::open_up, "owner", /*                 */ "--------", "--------"},
    {Action::open_up, members, /*                 */ ".-----..", ".-----.."},
    {Action::open_up, outside, /*                 */ "........", ".-----.."},

    {Action::verify, keepers, /*                  */ "x++++++x", "x++++++x"},
    {Action::verify, "accepted copier", /*        */ ".+++++..", ".+++++.."},
    {Action::verify, "pending", /*                */ ".-----..", ".+++++.."},
    {Action::verify, outside, /*                  */ "........", ".+++++.."},
};

// operator-member: an operator to whom the image was offered.
constexpr const char* roles[] = {"owner",  "operator", "operator-member", "pending", "accepted",
                                 "copier", "rejected", "removed",         "stranger"};

bool is_keeper(const std::string& role) {
  return role == "owner" || role.starts_with("operator");
}

// One image for each state; no name is near to another, so that a hint names it or nothing.
struct Column {
  const char* state;
  const char* private_name;
  const char* public_name;
};
constexpr Column columns[] = {{"creating", "aardvark", "iguana"},   {"available", "buffalo", "jackrabbit"},
                              {"deprecated", "chinchilla", "zebu"}, {"obsolete", "dromedary", "leopard"},
                              {"revoked", "elephant", "mongoose"},  {"revoked", "flamingo", "nightingale"},
                              {"trashed", "gorilla", "wombat"},     {"failed", "hedgehog", "porcupine"}};
constexpr std::size_t inherited = 5;  // the column of images whose ancestor is revoked

const char* name_of(std::size_t column, bool is_public) {
  return is_public ? columns[column].public_name : columns[column].private_name;
}

/// What the grid says; fails the test when it says nothing, or two things.
char expected(Action action, const std::string& role, std::size_t column, bool is_public) {
  char found = 0;
  for (const Row& row : grid) {
    if (row.action != action || (" " + std::string(row.roles) + " ").find(" " + role + " ") == std::string::npos)
      continue;
    EXPECT_EQ(found, 0) << role;
    found = (is_public ? row.is_public : row.is_private)[column];
  }
  EXPECT_NE(found, 0) << role;
  return found;
}

class AuthorityMatrix : public testing::Test {
 protected:
  AuthorityMatrix() {
    base_ = accounts.publish("owner", "xenopus:1").id;
    const std::string middle = accounts.publish("owner", "quagga:1", {base_}).id;
    for (std::size_t column = 0; column < std::size(columns); ++column)
      for (const bool is_public : {false, true}) make(column, is_public, middle);
    accounts.life("owner").revoke("xenopus:1", test::long_ago, "bad key");
  }

  void make(std::size_t column, bool is_public, const std::string& middle) {
    const std::string reference = std::string(name_of(column, is_public)) + ":1", state = columns[column].state;
    const auto parents = column == inherited ? std::vector{middle} : std::vector<std::string>{};
    const Image image = accounts.publish("owner", reference, parents);
    for (const char* member : {"operator-member", "pending", "accepted", "copier", "rejected", "removed"})
      accounts.sharing("owner").offer(reference, {member}, std::string(member) == "copier");
    const std::string full = "owner/" + reference;
    for (const char* member : {"accepted", "copier", "removed"}) accounts.sharing(member).accept(full);
    accounts.sharing("rejected").reject(full);
    accounts.sharing("owner").cancel(reference, {"removed"});
    if (is_public) accounts.life("operator").open_up(full, true);
    Life life = accounts.life("owner");
    if (state == "deprecated") life.deprecate(reference, test::long_ago, "", "");
    if (state == "obsolete") life.deprecate(reference, test::long_ago, test::long_ago, "");
    if (state == "revoked" && column != inherited) life.revoke(reference, test::long_ago, "bad key");
    // A shared image is not let into the trash; here it shall be there all the same.
    if (state == "trashed")
      accounts.records().change(image.id, {.trashed_at = test::long_ago, .purge_at = test::far_away});
    if (state == "creating" || state == "failed") set_state(image.id, state);
  }
  void set_state(const std::string& id, const std::string& state) {
    Database(folder / "c/records.sqlite").write([&](soci::session& sql) {
      sql << "UPDATE images SET state = :s WHERE id = :i", soci::use(state), soci::use(id);
    });
  }

  /// Does it with the function that the command line calls, when there is one in the catalog.
  void perform(Action action, const std::string& role, const std::string& ref) {
    LocalCatalog& catalog = accounts.as(role);
    Life life(catalog.view());
    Labels labels(catalog.view());
    Sharing sharing(catalog.view());
    switch (action) {
      case Action::change:
        return (void)labels.edit(ref, {.add_tags = {"x"}, .remove_tags = {}, .properties = {}, .description = {}});
      case Action::promote:
        return (void)labels.promote(ref, "stable");
      case Action::share:
        return (void)sharing.offer(ref, {"eve"}, true);
      case Action::retire:
        return (void)life.undeprecate(ref);
      case Action::revoke:
        return (void)life.unrevoke(ref);
      case Action::trash:
        return (void)life.trash(ref, {}, test::far_away);
      case Action::restore:
        return (void)life.restore(ref);
      case Action::purge:
        if (is_keeper(role)) break;  // for them, remove() goes by way of the trash
        return (void)catalog.remove(ref);
      case Action::answer:
        return (void)sharing.reject(ref);
      case Action::open_up:
        return (void)life.open_up(ref, true);
      case Action::verify:
        return (void)catalog.verify(ref);
      default:
        break;
    }
    (void)catalog.show(ref, action);
  }

  void expect_refused(Action action, const std::string& role, std::size_t column, bool is_public, char what) {
    const std::string name = name_of(column, is_public);
    const Error error = error_of([&] { perform(action, role, "owner/" + name + ":1"); });
    if (what == '.') {
      EXPECT_EQ(error.what(), "there is no image \"" + name + "\"");
      EXPECT_EQ(error.hint(), "see which images there are: kiln image list");
      EXPECT_TRUE(error.evidence().empty());
      EXPECT_EQ(error.failure(), Failure::invalid);
      return;
    }
    EXPECT_EQ(error.failure(), Failure::refused) << error.what();
    EXPECT_FALSE(error.hint().empty());
    const std::string text = error.what(), state = std::string(" is ") + columns[column].state + " and cannot be ";
    EXPECT_THAT(text, testing::StartsWith("image " + name + ":1 "));
    EXPECT_EQ(text.find(state) != std::string::npos, what == 'x') << text;
  }

  test::TempDir folder;
  test::Accounts accounts{folder / "c"};
  std::string base_;
};

/// Everything recorded that an action could have changed.
std::vector<std::string> fingerprint(test::Accounts& accounts) {
  std::vector<std::string> out;
  for (const ImageEntry& e : accounts.as("operator").list()) {
    std::string line = e.reference() + " " + std::string(to_text(e.state())) + (e.is_public ? " public" : "");
    for (const std::string& tag : e.tags) line += " " + tag;
    for (const std::string& channel : e.channels) line += " " + channel;
    for (const Share& s : accounts.as("operator").view().store().shares.of_image(e.image.id))
      line += " " + s.member + "=" + std::string(to_text(s.state));
    out.push_back(line);
  }
  return out;
}

TEST_F(AuthorityMatrix, EveryActionOfEveryRoleInEveryState) {
  const auto before = fingerprint(accounts);
  int tried = 0;
  for (int action = 0; action <= static_cast<int>(Action::verify); ++action)
    for (const char* role : roles)
      for (std::size_t column = 0; column < std::size(columns); ++column)
        for (const bool is_public : {false, true}) {
          const auto what = static_cast<Action>(action);
          const std::string name = name_of(column, is_public);
          SCOPED_TRACE("action " + std::to_string(action) + " by " + role + " on " + name);
          ++tried;
          const char wanted = expected(what, role, column, is_public);
          if (wanted == '+')
            EXPECT_NO_THROW(EXPECT_EQ(accounts.as(role).show("owner/" + name + ":1", what).image.name, name));
          else
            expect_refused(what, role, column, is_public, wanted);
        }
  EXPECT_EQ(tried, 16 * 9 * 8 * 2);
  EXPECT_EQ(fingerprint(accounts), before) << "what was refused has changed nothing";
}

TEST_F(AuthorityMatrix, WhatMayNotBeSeenDoesNotExist) {
  for (const char* role : roles) {
    LocalCatalog& catalog = accounts.as(role);
    const std::vector<std::string> listed = test::names_of(catalog.list());
    std::size_t seen = 0;
    for (std::size_t column = 0; column < std::size(columns); ++column)
      for (const bool is_public : {false, true}) {
        const std::string name = name_of(column, is_public);
        const bool visible = expected(Action::see, role, column, is_public) == '+';
        SCOPED_TRACE(std::string(role) + " " + name);
        seen += visible ? 1 : 0;
        EXPECT_EQ(std::ranges::count(listed, "owner/" + name + ":1"), visible ? 1 : 0);
        EXPECT_EQ(catalog.view().find(name + ":1").has_value(), visible);
        const std::string id = accounts.as("operator").show("owner/" + name + ":1").image.id;
        EXPECT_EQ(catalog.view().find_id(id).has_value(), visible);
        // A slip of the pen is answered with what there is, and with nothing else.
        const std::string slip = name.substr(0, name.size() - 1);
        const Error error = error_of([&] { (void)catalog.show(slip); });
        EXPECT_EQ(error.what(), "there is no image \"" + slip + "\"");
        EXPECT_EQ(error.hint(),
                  visible ? "did you mean \"" + name + "\"?" : "see which images there are: kiln image list");
        if (!visible) {
          EXPECT_EQ(error_of([&] { (void)catalog.show(id, Action::launch); }).what(),
                    "there is no image \"" + id + "\"");
        }
      }
    EXPECT_EQ(listed.size(), seen + (is_keeper(role) ? 2 : 0)) << role;  // and the two ancestors
  }
}

TEST_F(AuthorityMatrix, BuildingFromWhatMayNotBeBuiltFromIsRefusedByOpen) {
  for (const char* role : roles)
    for (std::size_t column = 0; column < std::size(columns); ++column) {
      SCOPED_TRACE(std::string(role) + " " + name_of(column, false));
      const Image image = accounts.as("owner").show(std::string(name_of(column, false)) + ":1").image;
      if (expected(Action::build, role, column, false) == '+')
        EXPECT_NO_THROW((void)accounts.as(role).open(image));
      else
        EXPECT_THROW((void)accounts.as(role).open(image), Error);
    }
}

}  // namespace
}  // namespace kiln

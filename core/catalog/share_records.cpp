#include "catalog/share_records.h"

#include <soci/soci.h>

namespace kiln {
namespace {

using soci::into;
using soci::use;

std::vector<Share> select(soci::session& sql, const std::string& where, const std::vector<std::string>& arguments) {
  Share share;
  std::string state;
  int may_copy = 0;
  soci::statement query(sql);
  query.exchange(into(share.image));
  query.exchange(into(share.member));
  query.exchange(into(state));
  query.exchange(into(may_copy));
  query.exchange(into(share.created));
  for (const std::string& argument : arguments) query.exchange(use(argument));
  query.alloc();
  query.prepare("SELECT image, member, state, may_copy, created FROM shares WHERE " + where);
  query.define_and_bind();
  query.execute(false);
  std::vector<Share> out;
  while (query.fetch()) {
    share.state = state == "accepted"   ? Share::State::accepted
                  : state == "rejected" ? Share::State::rejected
                                        : Share::State::pending;
    share.may_copy = may_copy != 0;
    out.push_back(share);
  }
  return out;
}

}  // namespace

std::string_view to_text(Share::State state) {
  switch (state) {
    case Share::State::pending:
      return "pending";
    case Share::State::accepted:
      return "accepted";
    case Share::State::rejected:
      return "rejected";
  }
  return "";
}

bool ShareRecords::offer(const std::string& image, const std::string& member, bool may_copy) {
  return db_.write([&](soci::session& sql) {
    int there = 0;
    sql << "SELECT COUNT(*) FROM images WHERE id = :i AND trashed_at = ''", use(image), into(there);
    if (there == 0) return false;
    const auto before = select(sql, "image = :i AND member = :m", {image, member});
    const bool accepted = !before.empty() && before.front().state == Share::State::accepted;
    const std::string state(to_text(accepted ? Share::State::accepted : Share::State::pending)), now = now_moment();
    const int copy = may_copy ? 1 : 0;
    sql << "DELETE FROM shares WHERE image = :i AND member = :m", use(image), use(member);
    sql << "INSERT INTO shares (image, member, state, may_copy, created) VALUES (:i, :m, :s, :c, :t)", use(image),
        use(member), use(state), use(copy), use(now);
    return true;
  });
}

void ShareRecords::cancel(const std::string& image, const std::string& member) {
  db_.write([&](soci::session& sql) {
    sql << "DELETE FROM shares WHERE image = :i AND member = :m", use(image), use(member);
  });
}

bool ShareRecords::answer(const std::string& image, const std::string& member, Share::State answer) {
  const std::string state(to_text(answer));
  return db_.write([&](soci::session& sql) {
    int there = 0;
    sql << "SELECT COUNT(*) FROM shares s JOIN images i ON i.id = s.image"
           " WHERE s.image = :i AND s.member = :m AND i.trashed_at = ''",
        use(image), use(member), into(there);
    if (there > 0)
      sql << "UPDATE shares SET state = :s WHERE image = :i AND member = :m", use(state), use(image), use(member);
    return there > 0;
  });
}

std::optional<Share> ShareRecords::find(const std::string& image, const std::string& member) const {
  const auto found = db_.read([&](soci::session& sql) {
    return select(sql, "image = :i AND member = :m", {image, member});
  });
  if (found.empty()) return std::nullopt;
  return found.front();
}

std::vector<Share> ShareRecords::of_image(const std::string& image) const {
  return db_.read([&](soci::session& sql) { return select(sql, "image = :i ORDER BY member", {image}); });
}

std::vector<Share> ShareRecords::of_member(const std::string& member) const {
  return db_.read(
      [&](soci::session& sql) { return select(sql, "member = :m ORDER BY created DESC, image", {member}); });
}

}  // namespace kiln

#include "catalog/use_records.h"

#include <soci/soci.h>

#include <algorithm>

namespace kiln {
namespace {

using soci::into;
using soci::use;

/// `column`: "image" or "home".
std::vector<ImageUse> select(soci::session& sql, const std::string& column, const std::string& value) {
  ImageUse row;
  soci::statement query = (sql.prepare << "SELECT image, home, instance, account FROM image_uses WHERE " + column +
                                              " = :v ORDER BY home, instance",
                           use(value), into(row.image), into(row.home), into(row.instance), into(row.account));
  query.execute();
  std::vector<ImageUse> out;
  while (query.fetch()) out.push_back(row);
  return out;
}

bool is_there(soci::session& sql, const std::string& image, const std::string& condition = "") {
  int there = 0;
  sql << "SELECT COUNT(*) FROM images WHERE id = :i" + condition, use(image), into(there);
  return there > 0;
}

void insert(soci::session& sql, const ImageUse& row) {
  sql << "INSERT INTO image_uses (image, home, instance, account) VALUES (:i, :h, :n, :a)", use(row.image),
      use(row.home), use(row.instance), use(row.account);
}

}  // namespace

bool UseRecords::begin(const ImageUse& row) {
  return db_.write([&](soci::session& sql) {
    const bool usable = is_there(sql, row.image, " AND state = 'available' AND trashed_at = ''");
    if (!usable) return false;
    sql << "DELETE FROM image_uses WHERE home = :h AND image = :i AND instance = :n", use(row.home), use(row.image),
        use(row.instance);
    insert(sql, row);
    return true;
  });
}

void UseRecords::replace(const std::string& home, std::vector<ImageUse> uses) {
  std::ranges::sort(uses);
  const auto recorded = [&](soci::session& sql) {
    std::vector<ImageUse> rows = select(sql, "home", home);
    std::ranges::sort(rows);
    return rows;
  };
  if (db_.read(recorded) == uses) return;
  db_.write([&](soci::session& sql) {
    sql << "DELETE FROM image_uses WHERE home = :h", use(home);
    for (const ImageUse& row : uses)
      if (is_there(sql, row.image)) insert(sql, row);
  });
}

std::size_t UseRecords::forget(const std::string& home) {
  return db_.write([&](soci::session& sql) {
    const std::size_t count = select(sql, "home", home).size();
    sql << "DELETE FROM image_uses WHERE home = :h", use(home);
    return count;
  });
}

std::vector<ImageUse> UseRecords::of_home(const std::string& home) const {
  return db_.read([&](soci::session& sql) { return select(sql, "home", home); });
}

std::vector<ImageUse> UseRecords::of_image(const std::string& image) const {
  return db_.read([&](soci::session& sql) { return select(sql, "image", image); });
}

}  // namespace kiln

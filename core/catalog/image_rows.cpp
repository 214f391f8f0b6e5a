#include "catalog/image_rows.h"

#include <soci/soci.h>

#include <algorithm>
#include <utility>

#include <kiln/text.h>

namespace kiln {
namespace {

using soci::into;
using soci::use;

constexpr std::size_t longest_error = 2000;

void insert(soci::session& sql, const ImageRow& row, const std::string& state) {
  const auto stored = static_cast<long long>(row.stored_bytes);
  sql << "INSERT INTO images (id, sequence, region, owner, name, version, visibility, state, created, description,"
         " error, stored_bytes, protected, deprecated_at, obsolete_at, replacement, revoked_at, reason,"
         " trashed_at, purge_at, facts)"
         " SELECT :i, COALESCE(MAX(sequence), 0) + 1, :r, :o, :n, :v, 'private', :a, :t, '', '', :s, 0, '',"
         " '', '', '', '', '', '', :f FROM images",
      use(row.id), use(row.region), use(row.owner), use(row.name), use(row.version), use(state), use(row.created),
      use(stored), use(row.facts);
}

void remove_of_version(soci::session& sql, const ImageRow& row, const std::string& states) {
  sql << "DELETE FROM images WHERE region = :r AND owner = :o AND name = :n AND version = :v AND state IN (" + states +
             ")",
      use(row.region), use(row.owner), use(row.name), use(row.version);
}

}  // namespace

std::string next_version(soci::session& sql, const std::string& region, const std::string& owner,
                         const std::string& name, const std::string& today) {
  std::string version;
  // Channels count, too: their names are not free for versions.
  soci::statement query =
      (sql.prepare << "SELECT version FROM images WHERE region = :r AND owner = :o AND name = :n"
                      " UNION SELECT channel FROM channels WHERE region = :s AND owner = :p AND name = :m",
       use(region), use(owner), use(name), use(region), use(owner), use(name), into(version));
  query.execute();
  unsigned long highest = 0;
  while (query.fetch()) {
    const std::string number = version.starts_with(today + ".") ? version.substr(today.size() + 1) : "";
    if (!number.empty() && number.size() < 10 && number.find_first_not_of("0123456789") == std::string::npos)
      highest = std::max(highest, std::stoul(number));
  }
  return today + "." + std::to_string(highest + 1);
}

bool has_version(soci::session& sql, const std::string& region, const std::string& owner, const std::string& name,
                 const std::string& version) {
  int count = 0;
  const Moment now = now_moment();
  sql << "SELECT COUNT(*) FROM images WHERE region = :r AND owner = :o AND name = :n AND version = :v"
         " AND state = 'available' AND (purge_at = '' OR purge_at > :t)",
      use(region), use(owner), use(name), use(version), use(now), into(count);
  return count > 0;
}

void insert_image_row(soci::session& sql, const ImageRow& row) {
  remove_of_version(sql, row, "'creating', 'failed'");
  insert(sql, row, "available");
}

void begin_making(soci::session& sql, ImageRow row) {
  if (row.version.empty()) row.version = next_version(sql, row.region, row.owner, row.name, row.created.substr(0, 10));
  remove_of_version(sql, row, "'failed'");
  int others = 0;
  sql << "SELECT COUNT(*) FROM images WHERE region = :r AND owner = :o AND name = :n AND version = :v", use(row.region),
      use(row.owner), use(row.name), use(row.version), into(others);
  if (others == 0) insert(sql, row, "creating");
}

std::string end_making(soci::session& sql, const std::string& lease) {
  std::string version;
  sql << "SELECT version FROM images WHERE id = :i AND state = 'creating'", use(lease), into(version);
  if (!sql.got_data()) return {};
  sql << "DELETE FROM images WHERE id = :i AND state = 'creating'", use(lease);
  return version;
}

void fail_making(soci::session& sql, const std::string& lease, const std::string& why, const Moment& now) {
  const std::string error = printable(why, longest_error);
  const Moment end = later(now, failure_term);
  sql << "UPDATE images SET state = 'failed', error = :e, purge_at = :p WHERE id = :i AND state = 'creating'",
      use(error), use(end), use(lease);
}

}  // namespace kiln

#include "catalog/image_records.h"

#include <soci/soci.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>
#include <unordered_map>

#include "catalog/image_rows.h"
#include "catalog/lease_records.h"
#include "catalog/names.h"
#include "catalog/signature_records.h"
#include "catalog/usage_records.h"

namespace kiln {
namespace {

using soci::into;
using soci::use;

/// Rows of images, as Row reads them.
std::string columns_of(Detail detail) {
  const bool all = detail == Detail::all;
  return std::string(
             "SELECT i.id, i.region, i.owner, i.name, i.version, i.visibility, i.state, i.created, i.stored_bytes,"
             " i.protected, i.deprecated_at, i.obsolete_at, i.revoked_at, i.trashed_at, i.purge_at,"
             " COALESCE(d.virtual_size, 0)") +
         (all ? ", i.description, i.error, i.replacement, i.reason, i.facts, COALESCE(d.content, '')" : "") +
         " FROM images i LEFT JOIN image_disks x ON x.image = i.id AND x.position = 0"
         " LEFT JOIN disks d ON d.content = x.content ";
}

/// One row of columns_of().
struct Row {
  ImageEntry entry;
  std::string visibility, state, facts, content;
  int is_protected = 0;
  long long stored = 0, size = 0;

  void bind(soci::statement& query, Detail detail) {
    Image& i = entry.image;
    Lifecycle& l = entry.life;
    for (std::string* text : {&i.id, &entry.region, &entry.owner, &i.name, &i.version, &visibility, &state, &i.created})
      query.exchange(into(*text));
    query.exchange(into(stored));
    query.exchange(into(is_protected));
    for (std::string* text : {&l.deprecated_at, &l.obsolete_at, &l.revoked_at, &l.trashed_at, &l.purge_at})
      query.exchange(into(*text));
    query.exchange(into(size));
    if (detail != Detail::all) return;
    for (std::string* text : {&entry.description, &l.error, &l.replacement, &l.reason, &facts, &content})
      query.exchange(into(*text));
  }

  ImageEntry read() const {
    ImageEntry out = entry;
    out.image.stored_bytes = static_cast<std::uint64_t>(stored);
    out.image.virtual_size = static_cast<std::uint64_t>(size);
    out.image.content = parse_digest(content).value_or(Digest{});
    if (!facts.empty()) out.image.facts = nlohmann::json::parse(facts).get<Facts>();
    out.is_public = visibility == "public";
    out.is_protected = is_protected != 0;
    using Making = Lifecycle::Making;
    out.life.making = state == "creating" ? Making::creating : state == "failed" ? Making::failed : Making::done;
    return out;
  }
};

struct Condition {
  std::string where;
  std::vector<std::string> arguments;

  void add(const std::string& column, const std::string& value) {
    if (value.empty()) return;
    where += (where.empty() ? "WHERE " : " AND ") + column + " = :a" + std::to_string(arguments.size());
    arguments.push_back(value);
  }
};

Condition condition_of(const ImageQuery& query) {
  Condition c;
  c.add("i.id", query.id);
  c.add("i.region", query.region);
  c.add("i.owner", query.owner);
  c.add("i.name", query.name);
  c.add("i.version", query.version);
  if (!query.any_content()) c.add("d.content", to_hex(query.content));
  return c;
}

/// Adds to each image what another table lists of it. One query for all of them.
using ById = std::unordered_map<std::string, ImageEntry*>;
void add_lists(soci::session& sql, const std::string& query, const ById& images,
               const std::function<void(ImageEntry&, const std::string&, const std::string&)>& add) {
  std::string image, first, second;
  soci::statement statement = (sql.prepare << query, into(image), into(first), into(second));
  statement.execute();
  while (statement.fetch())
    if (const auto it = images.find(image); it != images.end()) add(*it->second, first, second);
}

std::vector<ImageEntry> select(soci::session& sql, const ImageQuery& wanted) {
  const Condition condition = condition_of(wanted);
  Row row;
  soci::statement query(sql);
  row.bind(query, wanted.detail);
  for (const std::string& argument : condition.arguments) query.exchange(use(argument));
  query.alloc();
  query.prepare(columns_of(wanted.detail) + condition.where + " ORDER BY i.created DESC, i.sequence DESC");
  query.define_and_bind();
  query.execute(false);
  std::deque<ImageEntry> read;
  while (query.fetch()) read.push_back(row.read());
  // Here, because each database has an order of texts of its own; and by position, because entries are large.
  std::vector<std::size_t> order(read.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return std::tie(read[i].owner, read[i].image.name); });
  std::vector<ImageEntry> out;
  out.reserve(read.size());
  for (const std::size_t i : order) out.push_back(std::move(read[i]));

  ById by_id;
  for (ImageEntry& entry : out) by_id.emplace(entry.image.id, &entry);
  add_lists(sql, "SELECT image, channel, channel FROM channels ORDER BY channel", by_id,
            [](ImageEntry& e, const std::string& channel, const std::string&) { e.channels.push_back(channel); });
  add_lists(sql, "SELECT image, tag, tag FROM image_tags ORDER BY tag", by_id,
            [](ImageEntry& e, const std::string& tag, const std::string&) { e.tags.push_back(tag); });
  // A revocation is handed on through the graph.
  const auto is_revoked = [](const ImageEntry& entry) { return !entry.life.revoked_at.empty(); };
  if (wanted.detail == Detail::all || std::ranges::any_of(out, is_revoked))
    add_lists(sql, "SELECT image, parent, parent FROM image_parents ORDER BY parent", by_id,
              [](ImageEntry& e, const std::string& parent, const std::string&) { e.parents.push_back(parent); });
  if (wanted.detail != Detail::all) return out;
  add_lists(sql, "SELECT image, name, value FROM image_properties", by_id,
            [](ImageEntry& e, const std::string& name, const std::string& value) { e.properties[name] = value; });
  for (auto& [image, signature] : all_signatures(sql))
    if (const auto it = by_id.find(image); it != by_id.end()) it->second->signatures.push_back(std::move(signature));
  return out;
}

void insert_image(soci::session& sql, const NewImage& add, const Image& image, const Moment& now) {
  insert_image_row(sql, {.id = image.id,
                         .region = add.region,
                         .owner = add.owner,
                         .name = image.name,
                         .version = image.version,
                         .created = image.created,
                         .facts = facts_text(image.facts),
                         .stored_bytes = image.stored_bytes});
  const std::string content = to_hex(image.content);
  sql << "INSERT INTO image_disks (image, position, content) VALUES (:i, 0, :c)", use(image.id), use(content);
  record_change(sql, image.id, now, true);
  for (const std::string& parent : add.parents)
    sql << "INSERT INTO image_parents (image, parent) VALUES (:i, :p)", use(image.id), use(parent);
}

/// What a copy keeps of its original.
void take_over(soci::session& sql, const ImageEntry& original, const std::string& id) {
  const Lifecycle& life = original.life;
  sql << "UPDATE images SET description = :d, deprecated_at = :e, obsolete_at = :o, replacement = :p, revoked_at = :v,"
         " reason = :r WHERE id = :i",
      use(original.description), use(life.deprecated_at), use(life.obsolete_at), use(life.replacement),
      use(life.revoked_at), use(life.reason), use(id);
  for (const std::string& tag : original.tags)
    sql << "INSERT INTO image_tags (image, tag) VALUES (:i, :t)", use(id), use(tag);
  for (const auto& [name, value] : original.properties)
    sql << "INSERT INTO image_properties (image, name, value) VALUES (:i, :n, :v)", use(id), use(name), use(value);
  for (const ImageSignature& signature : original.signatures) put_signature(sql, id, signature);
}

void point_channel(soci::session& sql, const std::string& region, const std::string& owner, const std::string& name,
                   const std::string& channel, const std::string& image, const std::string& version,
                   const std::string& actor) {
  const Moment now = now_moment();
  sql << "DELETE FROM channels WHERE region = :r AND owner = :o AND name = :n AND channel = :c", use(region),
      use(owner), use(name), use(channel);
  if (!image.empty())
    sql << "INSERT INTO channels (region, owner, name, channel, image) VALUES (:r, :o, :n, :c, :i)", use(region),
        use(owner), use(name), use(channel), use(image);
  sql << "INSERT INTO channel_history (sequence, region, owner, name, channel, image, version, actor, moment)"
         " SELECT COALESCE(MAX(sequence), 0) + 1, :r, :o, :n, :c, :i, :v, :a, :m FROM channel_history",
      use(region), use(owner), use(name), use(channel), use(image), use(version), use(actor), use(now);
}

/// Removes an image. Its children are tied to its parents, and are handed its revocation, which they could no longer
/// find in the graph.
void remove_image(soci::session& sql, const std::string& id, const Moment& at) {
  record_change(sql, id, at, false);
  sql << "INSERT INTO image_parents (image, parent) SELECT c.image, p.parent FROM image_parents c"
         " JOIN image_parents p ON p.image = c.parent WHERE c.parent = :i AND NOT EXISTS"
         " (SELECT 1 FROM image_parents k WHERE k.image = c.image AND k.parent = p.parent)",
      use(id);
  std::string revoked_at, reason;
  sql << "SELECT revoked_at, reason FROM images WHERE id = :i", use(id), into(revoked_at), into(reason);
  if (!revoked_at.empty())
    sql << "UPDATE images SET revoked_at = :m, reason = :r WHERE (revoked_at = '' OR revoked_at > :n)"
           " AND id IN (SELECT image FROM image_parents WHERE parent = :i)",
        use(revoked_at), use(reason), use(revoked_at), use(id);
  std::string region, owner;
  sql << "SELECT region, owner FROM images WHERE id = :i", use(id), into(region), into(owner);
  unsettle_quota(sql, region, owner);
  sql << "DELETE FROM images WHERE id = :i", use(id);
}

}  // namespace

std::string facts_text(const Facts& facts) {
  return nlohmann::json(facts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<std::string> remove_expired_images(soci::session& sql, const Moment& now) {
  struct Expired {
    std::string id, name, version;
    Moment purge_at;
  } row;
  soci::statement query = (sql.prepare << "SELECT id, name, version, purge_at FROM images WHERE purge_at <> ''"
                                          " AND purge_at <= :n ORDER BY purge_at, sequence",
                           use(now), into(row.id), into(row.name), into(row.version), into(row.purge_at));
  query.execute();
  std::vector<Expired> expired;
  while (query.fetch()) expired.push_back(row);
  std::vector<std::string> references;
  for (const Expired& image : expired) {
    remove_image(sql, image.id, image.purge_at);
    references.push_back(image.name + ":" + image.version);
  }
  return references;
}

std::optional<Image> ImageRecords::add(const NewImage& add) {
  return db_.write([&](soci::session& sql) -> std::optional<Image> {
    const bool is_here = has_disk(sql, add.image.content);
    if (!is_here && !add.files) return std::nullopt;
    Image image = add.image;
    const Moment now = now_moment();
    image.created = add.original ? add.original->image.created : now;
    if (!add.lease.empty()) redeem_lease(sql, add.lease);
    remove_expired_images(sql, now);  // whose versions are free again
    const std::string set_aside = end_making(sql, add.lease);
    if (image.version.empty()) image.version = set_aside;
    if (image.version.empty()) image.version = next_version(sql, add.region, add.owner, image.name, now.substr(0, 10));
    if (kiln::has_version(sql, add.region, add.owner, image.name, image.version))
      throw version_exists(image.name, image.version);
    if (is_here && add.replaces_packs)
      replace_disk_packs(sql, image.content, add.pack, add.packs, now);
    else if (is_here)
      image.stored_bytes = 0;
    else
      insert_disk(sql, add.disk, add.pack, add.packs, now);
    insert_image(sql, add, image, now);
    if (add.original) take_over(sql, *add.original, image.id);
    if (add.signing_key) put_signature(sql, image.id, sign_image(image, add.owner, *add.signing_key));
    if (!add.channel.empty())
      point_channel(sql, add.region, add.owner, image.name, add.channel, image.id, image.version, add.owner);
    return image;
  });
}

bool ImageRecords::has_version(const std::string& region, const std::string& owner, const std::string& name,
                               const std::string& version) const {
  return db_.read([&](soci::session& sql) { return kiln::has_version(sql, region, owner, name, version); });
}

std::vector<ImageEntry> ImageRecords::list(const ImageQuery& query) const {
  return db_.read([&](soci::session& sql) { return select(sql, query); });
}

void ImageRecords::change(const std::string& id, const ImageChange& change) {
  std::vector<std::pair<const char*, std::string>> texts;
  const auto text = [&](const char* column, const std::optional<std::string>& value) {
    if (value) texts.emplace_back(column, *value);
  };
  text("description", change.description);
  text("deprecated_at", change.deprecated_at);
  text("obsolete_at", change.obsolete_at);
  text("replacement", change.replacement);
  text("revoked_at", change.revoked_at);
  text("reason", change.reason);
  text("trashed_at", change.trashed_at);
  text("purge_at", change.purge_at);
  if (change.is_public) text("visibility", *change.is_public ? "public" : "private");
  db_.write([&](soci::session& sql) {
    for (const auto& [column, value] : texts)
      sql << std::string("UPDATE images SET ") + column + " = :v WHERE id = :i", use(value), use(id);
    if (!change.is_protected) return;
    const int value = *change.is_protected ? 1 : 0;
    sql << "UPDATE images SET protected = :v WHERE id = :i", use(value), use(id);
  });
}

bool ImageRecords::trash(const std::string& id, const Moment& now, const Moment& purge_at) {
  return db_.write([&](soci::session& sql) {
    int free = 0;
    sql << "SELECT COUNT(*) FROM images i WHERE i.id = :i AND i.protected = 0 AND NOT EXISTS"
           " (SELECT 1 FROM shares s WHERE s.image = i.id AND s.state <> 'rejected')",
        use(id), into(free);
    if (free > 0)
      sql << "UPDATE images SET trashed_at = :t, purge_at = :p WHERE id = :i", use(now), use(purge_at), use(id);
    return free > 0;
  });
}

void ImageRecords::set_tag(const std::string& id, const std::string& tag, bool present) {
  db_.write([&](soci::session& sql) {
    sql << "DELETE FROM image_tags WHERE image = :i AND tag = :t", use(id), use(tag);
    if (present) sql << "INSERT INTO image_tags (image, tag) VALUES (:i, :t)", use(id), use(tag);
  });
}

void ImageRecords::set_property(const std::string& id, const std::string& name,
                                const std::optional<std::string>& value) {
  db_.write([&](soci::session& sql) {
    sql << "DELETE FROM image_properties WHERE image = :i AND name = :n", use(id), use(name);
    if (value)
      sql << "INSERT INTO image_properties (image, name, value) VALUES (:i, :n, :v)", use(id), use(name), use(*value);
  });
}

void ImageRecords::remove(const std::string& id) {
  db_.write([&](soci::session& sql) {
    const Moment now = now_moment();
    remove_expired_images(sql, now);  // before it, because changes are recorded in the order of time
    remove_image(sql, id, now);
  });
}

std::vector<std::string> ImageRecords::purge_expired(const Moment& now) {
  return db_.write([&](soci::session& sql) { return remove_expired_images(sql, now); });
}

std::optional<std::string> ImageRecords::channel(const std::string& region, const std::string& owner,
                                                 const std::string& name, const std::string& channel) const {
  return db_.read([&](soci::session& sql) -> std::optional<std::string> {
    std::string image;
    sql << "SELECT image FROM channels WHERE region = :r AND owner = :o AND name = :n AND channel = :c", use(region),
        use(owner), use(name), use(channel), into(image);
    if (!sql.got_data()) return std::nullopt;
    return image;
  });
}

void ImageRecords::move_channel(const ImageEntry& of, const std::string& channel, const std::optional<ImageEntry>& to,
                                const std::string& actor) {
  db_.write([&](soci::session& sql) {
    point_channel(sql, of.region, of.owner, of.image.name, channel, to ? to->image.id : "", to ? to->image.version : "",
                  actor);
  });
}

std::vector<ChannelMove> ImageRecords::history(const std::string& region, const std::string& owner,
                                               const std::string& name, const std::string& channel) const {
  return db_.read([&](soci::session& sql) {
    ChannelMove move;
    soci::statement query =
        (sql.prepare << "SELECT image, version, actor, moment FROM channel_history WHERE region = :r AND owner = :o"
                        " AND name = :n AND channel = :c ORDER BY sequence DESC",
         use(region), use(owner), use(name), use(channel), into(move.image), into(move.version), into(move.actor),
         into(move.moment));
    query.execute();
    std::vector<ChannelMove> out;
    while (query.fetch()) out.push_back(move);
    return out;
  });
}

std::vector<std::pair<std::string, std::string>> ImageRecords::ancestry() const {
  return db_.read([&](soci::session& sql) {
    std::string image, parent;
    soci::statement query = (sql.prepare << "SELECT image, parent FROM image_parents", into(image), into(parent));
    query.execute();
    std::vector<std::pair<std::string, std::string>> out;
    while (query.fetch()) out.emplace_back(image, parent);
    return out;
  });
}

}  // namespace kiln

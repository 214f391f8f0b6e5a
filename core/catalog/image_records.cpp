#include "catalog/image_records.h"

#include <soci/soci.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>
#include <unordered_map>
#include <utility>

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
             " i.sequence, i.protected, i.deprecated_at, i.obsolete_at, i.revoked_at, i.trashed_at, i.purge_at,"
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
  long long stored = 0, sequence = 0, size = 0;

  void bind(soci::statement& query, Detail detail) {
    Image& i = entry.image;
    Lifecycle& l = entry.life;
    for (std::string* text : {&i.id, &entry.region, &entry.owner, &i.name, &i.version, &visibility, &state, &i.created})
      query.exchange(into(*text));
    query.exchange(into(stored));
    query.exchange(into(sequence));
    query.exchange(into(is_protected));
    for (std::string* text : {&l.deprecated_at, &l.obsolete_at, &l.revoked_at, &l.trashed_at, &l.purge_at})
      query.exchange(into(*text));
    query.exchange(into(size));
    if (detail != Detail::all) return;
    for (std::string* text : {&entry.description, &l.error, &l.replacement, &l.reason, &facts, &content})
      query.exchange(into(*text));
  }

  /// What was fetched last; the next fetch needs nothing of it.
  ImageEntry take() {
    ImageEntry out = std::move(entry);
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

  void add(const std::string& column, const std::string& value, const char* end = "") {
    if (value.empty()) return;
    where += (where.empty() ? "WHERE " : " AND ") + column + " = :a" + std::to_string(arguments.size()) + end;
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
  if (!query.any_content()) c.add("i.id IN (SELECT image FROM image_disks WHERE content", to_hex(query.content), ")");
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

/// By owner and name, the newest first. Here, because each database has an order of texts of its own, and SQLite's sort
/// is slower; and by position, because entries are large.
std::vector<ImageEntry> in_order(std::vector<ImageEntry> read, const std::vector<long long>& sequences) {
  std::vector<std::size_t> order(read.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const ImageEntry &l = read[a], &r = read[b];
    return std::tie(l.owner, l.image.name, r.image.created, sequences[b]) <
           std::tie(r.owner, r.image.name, l.image.created, sequences[a]);
  });
  std::vector<ImageEntry> out;
  out.reserve(read.size());
  for (const std::size_t i : order) out.push_back(std::move(read[i]));
  return out;
}

void add_parts(soci::session& sql, const ById& images) {
  std::string image, content;
  ImagePart part;
  long long size = 0;
  soci::statement query = (sql.prepare << "SELECT x.image, x.role, x.name, x.content, d.virtual_size FROM image_disks x"
                                          " JOIN disks d ON d.content = x.content WHERE x.position > 0"
                                          " ORDER BY x.image, x.position",
                           into(image), into(part.role), into(part.name), into(content), into(size));
  query.execute();
  while (query.fetch()) {
    const auto it = images.find(image);
    if (it == images.end()) continue;
    part.content = parse_digest(content).value_or(Digest{});
    part.virtual_size = static_cast<std::uint64_t>(size);
    it->second->image.parts.push_back(part);
  }
}

std::vector<ImageEntry> select(soci::session& sql, const ImageQuery& wanted) {
  const Condition condition = condition_of(wanted);
  Row row;
  soci::statement query(sql);
  row.bind(query, wanted.detail);
  for (const std::string& argument : condition.arguments) query.exchange(use(argument));
  query.alloc();
  query.prepare(columns_of(wanted.detail) + condition.where);
  query.define_and_bind();
  query.execute(false);
  std::vector<ImageEntry> read;
  std::vector<long long> sequences;
  for (; query.fetch(); sequences.push_back(row.sequence)) read.push_back(row.take());
  std::vector<ImageEntry> out = in_order(std::move(read), sequences);

  ById by_id;
  for (ImageEntry& entry : out) by_id.emplace(entry.image.id, &entry);
  add_parts(sql, by_id);
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

/// The image as it is inside this transaction, with the revocation that it inherits; nothing when it is gone.
std::optional<ImageEntry> current(soci::session& sql, const std::string& id) {
  std::vector<ImageEntry> found = select(sql, {.id = id});
  const Moment now = now_moment();
  if (found.empty() || found.front().life.is_over(now)) return std::nullopt;
  Lifecycle& life = found.front().life;
  std::string reason;
  sql << "WITH RECURSIVE ancestors (id) AS (SELECT parent FROM image_parents WHERE image = :i"
         " UNION SELECT p.parent FROM image_parents p JOIN ancestors a ON p.image = a.id)"
         " SELECT reason FROM images WHERE id IN (SELECT id FROM ancestors)"
         " AND revoked_at <> '' AND revoked_at <= :n ORDER BY revoked_at LIMIT 1",
      use(id), use(now), into(reason);
  life.ancestor_revoked = sql.got_data();
  if (life.ancestor_revoked && life.reason.empty()) life.reason = reason;
  return std::move(found.front());
}

void write_labels(soci::session& sql, const std::string& id, const ImageChange& change) {
  for (const auto& [tag, present] : change.tags) {
    sql << "DELETE FROM image_tags WHERE image = :i AND tag = :t", use(id), use(tag);
    if (present) sql << "INSERT INTO image_tags (image, tag) VALUES (:i, :t)", use(id), use(tag);
  }
  for (const auto& [name, value] : change.properties) {
    sql << "DELETE FROM image_properties WHERE image = :i AND name = :n", use(id), use(name);
    if (value)
      sql << "INSERT INTO image_properties (image, name, value) VALUES (:i, :n, :v)", use(id), use(name), use(*value);
  }
}

void write_change(soci::session& sql, const std::string& id, const ImageChange& change) {
  const auto text = [&](const char* column, const std::optional<std::string>& value) {
    if (value) sql << std::string("UPDATE images SET ") + column + " = :v WHERE id = :i", use(*value), use(id);
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
  if (change.is_protected) {
    const int value = *change.is_protected ? 1 : 0;
    sql << "UPDATE images SET protected = :v WHERE id = :i", use(value), use(id);
  }
  write_labels(sql, id, change);
}

/// Whether nothing keeps a living image from the trash, as far as the records know.
bool is_free(soci::session& sql, const std::string& id) {
  int free = 0;
  sql << "SELECT COUNT(*) FROM images i WHERE i.id = :i AND i.state <> 'creating' AND i.trashed_at = ''"
         " AND i.protected = 0 AND i.visibility <> 'public'"
         " AND NOT EXISTS (SELECT 1 FROM shares s WHERE s.image = i.id AND s.state <> 'rejected')"
         " AND NOT EXISTS (SELECT 1 FROM channels c WHERE c.image = i.id)"
         " AND NOT EXISTS (SELECT 1 FROM image_uses u WHERE u.image = i.id)",
      use(id), into(free);
  return free > 0;
}

bool has_children(soci::session& sql, const std::string& id) {
  int children = 0;
  sql << "SELECT COUNT(*) FROM image_parents p JOIN images c ON c.id = p.image WHERE p.parent = :i"
         " AND c.state = 'available' AND c.trashed_at = ''",
      use(id), into(children);
  return children > 0;
}

bool is_dead(soci::session& sql, const std::string& id) {
  int dead = 0;
  sql << "SELECT COUNT(*) FROM images WHERE id = :i AND (trashed_at <> '' OR state = 'failed')", use(id), into(dead);
  return dead > 0;
}

void insert_part(soci::session& sql, const std::string& image, int position, const ImagePart& part) {
  const std::string content = to_hex(part.content);
  sql << "INSERT INTO image_disks (image, position, content, role, name) VALUES (:i, :p, :c, :r, :n)", use(image),
      use(position), use(content), use(part.role), use(part.name);
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
  int position = 0;
  for (const ImagePart& part : image.parts) insert_part(sql, image.id, ++position, part);
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
  // What is in a channel is not let into the trash; of older records there may be some.
  remove_channels_of(sql, id, owner);
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

namespace {

/// False: an earlier image with the same part has ended the lease, and keeps the content as well.
bool redeem_part(soci::session& sql, const PartLease& lease) {
  const std::string content = to_hex(lease.content);
  int images = 0;
  sql << "SELECT COUNT(*) FROM image_disks WHERE content = :c", use(content), into(images);
  if (images != 0 && !is_held(sql, lease.id)) return false;
  redeem_lease(sql, lease.id);
  return true;
}

}  // namespace

std::optional<Image> ImageRecords::add(const NewImage& add) {
  return db_.write([&](soci::session& sql) -> std::optional<Image> {
    const Moment now = now_moment();
    const auto bytes = record_disk(sql, add.disk, now);
    if (!bytes) return std::nullopt;
    Image image = add.image;
    image.stored_bytes += *bytes;
    image.created = add.original ? add.original->image.created : now;
    if (!add.disk.lease.empty()) redeem_lease(sql, add.disk.lease);
    remove_expired_images(sql, now);  // whose versions are free again
    const std::string set_aside = end_making(sql, add.disk.lease);
    if (image.version.empty()) image.version = set_aside;
    if (image.version.empty()) image.version = next_version(sql, add.region, add.owner, image.name, now.substr(0, 10));
    const ChannelName channel{add.region, add.owner, image.name, add.channel};
    kiln::require_own_words(sql, channel, image.version);
    // Before anything else is written: what they keep may be gone with them.
    for (const PartLease& lease : add.part_leases)
      if (!redeem_part(sql, lease)) image.stored_bytes -= lease.stored_bytes;
    insert_image(sql, add, image, now);
    if (add.original) take_over(sql, *add.original, image.id);
    if (add.signing_key) put_signature(sql, image.id, sign_image(image, add.owner, *add.signing_key));
    if (!add.channel.empty()) point_channel(sql, channel, {image.id, image.version}, add.owner);
    return image;
  });
}

void ImageRecords::require_own_words(const ChannelName& channel, const std::string& version) const {
  db_.read([&](soci::session& sql) { kiln::require_own_words(sql, channel, version); });
}

std::vector<ImageEntry> ImageRecords::list(const ImageQuery& query) const {
  return db_.read([&](soci::session& sql) { return select(sql, query); });
}

void ImageRecords::change(const std::string& id, const ImageChange& change) {
  db_.write([&](soci::session& sql) { write_change(sql, id, change); });
}

bool ImageRecords::change(const std::string& id, const ImageDecision& decision) {
  return db_.write([&](soci::session& sql) {
    const auto now = current(sql, id);
    if (now) write_change(sql, id, decision(*now));
    return now.has_value();
  });
}

bool ImageRecords::trash(const std::string& id, const Moment& now, const Moment& purge_at) {
  return db_.write([&](soci::session& sql) {
    const bool goes = is_free(sql, id);
    if (goes) sql << "UPDATE images SET trashed_at = :t, purge_at = :p WHERE id = :i", use(now), use(purge_at), use(id);
    return goes;
  });
}

std::vector<std::string> ImageRecords::trash_unneeded(const std::vector<std::string>& ids, const Moment& now,
                                                      const Moment& purge_at) {
  return db_.write([&](soci::session& sql) {
    std::vector<std::string> gone;
    for (const std::string& id : ids) {
      if (!is_free(sql, id) || has_children(sql, id)) continue;
      sql << "UPDATE images SET trashed_at = :t, purge_at = :p WHERE id = :i", use(now), use(purge_at), use(id);
      gone.push_back(id);
    }
    return gone;
  });
}

bool ImageRecords::remove(const std::string& id, Remove which) {
  return db_.write([&](soci::session& sql) {
    const Moment now = now_moment();
    remove_expired_images(sql, now);  // before it, because changes are recorded in the order of time
    const bool goes = which == Remove::alive ? is_free(sql, id) : is_dead(sql, id);
    if (goes) remove_image(sql, id, now);
    return goes;
  });
}

std::vector<std::string> ImageRecords::purge_expired(const Moment& now) {
  return db_.write([&](soci::session& sql) { return remove_expired_images(sql, now); });
}

void ImageRecords::move_channel(const ImageEntry& to, const std::string& channel, const std::string& actor,
                                const Check& check) {
  db_.write([&](soci::session& sql) {
    const auto now = current(sql, to.image.id);
    if (!now) throw image_is_gone(to.reference());
    if (check) check(*now);
    const ChannelName of{now->region, now->owner, now->image.name, channel};
    kiln::require_own_words(sql, of, "");
    point_channel(sql, of, {now->image.id, now->image.version}, actor);
  });
}

std::optional<std::string> ImageRecords::roll_back(const ChannelName& channel, const std::string& actor,
                                                   const IsOfUse& is_of_use) {
  return db_.write([&](soci::session& sql) -> std::optional<std::string> {
    const std::vector<ChannelMove> moves = channel_moves(sql, channel);
    const auto target = channel_target(sql, channel);
    std::int64_t before = moves.empty() ? 0 : moves.front().position();
    for (const ChannelMove& move : moves) {
      if (move.sequence >= before) continue;
      before = move.position();
      if (move.image.empty() || move.image == target) continue;
      const auto now = current(sql, move.image);
      if (!now || !is_of_use(*now)) continue;
      point_channel(sql, channel, {move.image, now->image.version, move.position()}, actor);
      return move.image;
    }
    return std::nullopt;
  });
}

bool ImageRecords::remove_channel(const ChannelName& channel, const std::string& actor) {
  return db_.write([&](soci::session& sql) {
    const bool is_there = channel_target(sql, channel).has_value();
    if (is_there) point_channel(sql, channel, {}, actor);
    return is_there;
  });
}

std::vector<ChannelMove> ImageRecords::history(const ChannelName& channel) const {
  return db_.read([&](soci::session& sql) { return channel_moves(sql, channel); });
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

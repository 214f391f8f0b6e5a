#include "catalog/records.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>

#include "catalog/names.h"
#include "catalog/schema.h"

namespace kiln {
namespace {

using soci::into;
using soci::use;

// SQLite's result codes (sqlite.org/rescode.html). SOCI 4.0.3 gives no category for them, and its header hides
// sqlite3.h in a namespace.
constexpr int busy = 5, locked = 6, io_error = 10, corrupt = 11, full = 13, not_a_database = 26;

Error translate(const soci::soci_error& error, int code, const std::string& file) {
  const std::vector<std::string> evidence{file + ": " + error.get_error_message()};
  switch (code) {
    case busy:
    case locked:
      return Error("the catalog's records were in use by another kiln for too long", "try again", evidence);
    case full:
      return Error("cannot write the catalog's records: no space left on the disk",
                   "free some space, or give another KILN_HOME", evidence);
    case io_error:
      return Error("cannot read or write the catalog's records", "look at the health and the free space of the disk",
                   evidence);
    case corrupt:
    case not_a_database:
      return Error("the catalog's records are damaged", "restore the file from a backup", evidence);
    default:
      return Error("the catalog's records cannot be used", "look at the lines above", evidence);
  }
}

std::string now() {
  const std::time_t t = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&t, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

/// One row of the columns that image_columns selects.
struct ImageRow {
  std::string id, name, version, created, facts, content, channel;
  long long stored = 0, size = 0;
  soci::indicator channel_there = soci::i_null;

  Image image() const {
    Image out;
    out.id = id;
    out.name = name;
    out.version = version;
    out.created = created;
    out.stored_bytes = static_cast<std::uint64_t>(stored);
    out.virtual_size = static_cast<std::uint64_t>(size);
    out.content = parse_digest(content).value_or(Digest{});
    out.facts = nlohmann::json::parse(facts).get<Facts>();
    return out;
  }
};

const std::string image_columns =
    "SELECT i.id, i.name, i.version, i.created, i.facts, i.stored_bytes, d.content, d.virtual_size, c.channel "
    "FROM images i JOIN image_disks x ON x.image = i.id AND x.position = 0 JOIN disks d ON d.content = x.content "
    "LEFT JOIN channels c ON c.image = i.id ";

}  // namespace

struct Records::Database {
  std::string file;
  mutable std::mutex mutex;
  mutable soci::session sql;

  /// Every use of the session: one thread at a time, and errors as Error.
  template <class F>
  auto run(F&& work) const {
    const std::lock_guard lock(mutex);
    try {
      return work(sql);
    } catch (const soci::sqlite3_soci_error& error) {
      throw translate(error, error.result(), file);
    } catch (const soci::soci_error& error) {
      throw translate(error, 0, file);
    } catch (const nlohmann::json::exception& error) {
      throw Error("the catalog's records are damaged", "restore the file from a backup",
                  {file + ": facts of an image: " + error.what()});
    }
  }

  /// A transaction that takes the right to write at its start, so that it never has to be repeated.
  template <class F>
  auto write(F&& work) {
    return run([&](soci::session& s) {
      s << "BEGIN IMMEDIATE";
      try {
        auto result = work(s);
        s << "COMMIT";
        return result;
      } catch (...) {
        try {
          s << "ROLLBACK";
        } catch (const soci::soci_error&) {
          // SQLite has rolled back by itself, as it does when the disk is full
        }
        throw;
      }
    });
  }

  std::vector<RecordedImage> select(const std::string& where, const std::vector<std::string>& arguments) const;
};

std::vector<RecordedImage> Records::Database::select(const std::string& where,
                                                     const std::vector<std::string>& arguments) const {
  return run([&](soci::session& s) {
    ImageRow row;
    soci::statement query(s);
    for (const auto& into_type : {into(row.id), into(row.name), into(row.version), into(row.created), into(row.facts)})
      query.exchange(into_type);
    query.exchange(into(row.stored));
    query.exchange(into(row.content));
    query.exchange(into(row.size));
    query.exchange(into(row.channel, row.channel_there));
    for (const std::string& argument : arguments) query.exchange(use(argument));
    query.alloc();
    query.prepare(image_columns + where);
    query.define_and_bind();
    query.execute(false);
    std::vector<RecordedImage> out;
    while (query.fetch()) {
      if (out.empty() || out.back().image.id != row.id) out.push_back({row.image(), {}});
      if (row.channel_there == soci::i_ok) out.back().channels.push_back(row.channel);
    }
    return out;
  });
}

Records::Records(const std::filesystem::path& file) : db_(std::make_unique<Database>()) {
  db_->file = file.string();
  db_->run([&](soci::session& sql) {
    sql.open(soci::sqlite3, "db=\"" + db_->file + "\" timeout=30");
    sql << "PRAGMA journal_mode = WAL";
    sql << "PRAGMA synchronous = FULL";
    sql << "PRAGMA foreign_keys = ON";
    migrate(sql);
  });
}

Records::~Records() = default;

bool Records::has_version(std::string_view name, std::string_view version) const {
  return db_->run([&](soci::session& sql) {
    int count = 0;
    const std::string n(name), v(version);
    sql << "SELECT COUNT(*) FROM images WHERE name = :n AND version = :v", use(n), use(v), into(count);
    return count > 0;
  });
}

bool Records::has_disk(const Digest& content) const {
  return db_->run([&](soci::session& sql) {
    int count = 0;
    const std::string c = to_hex(content);
    sql << "SELECT COUNT(*) FROM disks WHERE content = :c", use(c), into(count);
    return count > 0;
  });
}

namespace {

/// 2026-11-22.1, .2, …: one more than the highest number of today.
std::string next_version(soci::session& sql, const std::string& name, const std::string& today) {
  std::string version;
  soci::statement query = (sql.prepare << "SELECT version FROM images WHERE name = :n", use(name), into(version));
  query.execute();
  unsigned long highest = 0;
  while (query.fetch()) {
    const std::string number = version.starts_with(today + ".") ? version.substr(today.size() + 1) : "";
    if (!number.empty() && number.size() < 10 && number.find_first_not_of("0123456789") == std::string::npos)
      highest = std::max(highest, std::stoul(number));
  }
  return today + "." + std::to_string(highest + 1);
}

void insert_disk(soci::session& sql, const NewImage& add, const std::string& created) {
  const std::string content = to_hex(add.disk.content);
  const auto size = static_cast<long long>(add.disk.virtual_size), data = static_cast<long long>(add.disk.data_chunks);
  if (add.pack) {
    const auto bytes = static_cast<long long>(add.pack->bytes), chunks = static_cast<long long>(add.pack->chunks);
    sql << "INSERT INTO packs (id, bytes, chunks, created) VALUES (:i, :b, :c, :t)", use(add.pack->id), use(bytes),
        use(chunks), use(created);
  }
  sql << "INSERT INTO disks (content, virtual_size, data_chunks) VALUES (:c, :s, :d)", use(content), use(size),
      use(data);
  for (const std::string& pack : add.packs)
    sql << "INSERT INTO disk_packs (content, pack) VALUES (:c, :p)", use(content), use(pack);
}

void insert_image(soci::session& sql, const Image& image, const std::string& channel) {
  // Facts come from guests and vendors' files, too: what is no UTF-8 is replaced, not refused.
  const std::string facts = nlohmann::json(image.facts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::string content = to_hex(image.content);
  const auto stored = static_cast<long long>(image.stored_bytes);
  sql << "INSERT INTO images (id, sequence, name, version, created, stored_bytes, facts)"
         " SELECT :i, COALESCE(MAX(sequence), 0) + 1, :n, :v, :t, :s, :f FROM images",
      use(image.id), use(image.name), use(image.version), use(image.created), use(stored), use(facts);
  sql << "INSERT INTO image_disks (image, position, content) VALUES (:i, 0, :c)", use(image.id), use(content);
  if (channel.empty()) return;
  sql << "DELETE FROM channels WHERE name = :n AND channel = :c", use(image.name), use(channel);
  sql << "INSERT INTO channels (name, channel, image) VALUES (:n, :c, :i)", use(image.name), use(channel),
      use(image.id);
}

}  // namespace

Image Records::add(const NewImage& add) {
  return db_->write([&](soci::session& sql) {
    Image image = add.image;
    image.created = now();
    if (image.version.empty()) image.version = next_version(sql, image.name, image.created.substr(0, 10));
    int versions = 0, disks = 0;
    const std::string content = to_hex(image.content);
    sql << "SELECT COUNT(*) FROM images WHERE name = :n AND version = :v", use(image.name), use(image.version),
        into(versions);
    if (versions > 0) throw version_exists(image.name, image.version);
    sql << "SELECT COUNT(*) FROM disks WHERE content = :c", use(content), into(disks);
    if (disks == 0)
      insert_disk(sql, add, image.created);
    else
      image.stored_bytes = 0;
    insert_image(sql, image, add.channel);
    return image;
  });
}

std::optional<RecordedImage> Records::find(std::string_view name, std::string_view tag) const {
  const std::string n(name), t(tag);
  std::vector<RecordedImage> found;
  if (t.empty()) {
    found = db_->select("WHERE i.name = :n ORDER BY i.sequence DESC, c.channel", {n});
  } else {
    found = db_->select("WHERE i.name = :n AND i.version = :v ORDER BY c.channel", {n, t});
    if (found.empty())
      found = db_->select(
          "WHERE i.id = (SELECT image FROM channels WHERE name = :n AND channel = :c) ORDER BY c.channel", {n, t});
  }
  if (found.empty()) return std::nullopt;
  return found.front();
}

std::optional<RecordedImage> Records::find_id(std::string_view id) const {
  const auto found = db_->select("WHERE i.id = :i ORDER BY c.channel", {std::string(id)});
  if (found.empty()) return std::nullopt;
  return found.front();
}

std::vector<RecordedImage> Records::list() const {
  return db_->select("ORDER BY i.name, i.sequence DESC, c.channel", {});
}

std::vector<PackRecord> Records::packs() const {
  return db_->run([&](soci::session& sql) {
    std::vector<PackRecord> out;
    PackRecord pack;
    long long bytes = 0, chunks = 0;
    soci::statement query =
        (sql.prepare << "SELECT id, bytes, chunks FROM packs ORDER BY id", into(pack.id), into(bytes), into(chunks));
    query.execute();
    while (query.fetch())
      out.push_back({pack.id, static_cast<std::uint64_t>(bytes), static_cast<std::uint64_t>(chunks)});
    return out;
  });
}

std::vector<std::string> Records::packs_of(const Digest& content) const {
  return db_->run([&](soci::session& sql) {
    std::vector<std::string> out;
    std::string pack;
    const std::string c = to_hex(content);
    soci::statement query =
        (sql.prepare << "SELECT pack FROM disk_packs WHERE content = :c ORDER BY pack", use(c), into(pack));
    query.execute();
    while (query.fetch()) out.push_back(pack);
    return out;
  });
}

std::vector<DiskRecord> Records::disks() const {
  return db_->run([&](soci::session& sql) {
    std::vector<DiskRecord> out;
    std::string content;
    long long size = 0, data = 0;
    soci::statement query = (sql.prepare << "SELECT content, virtual_size, data_chunks FROM disks ORDER BY content",
                             into(content), into(size), into(data));
    query.execute();
    while (query.fetch())
      out.push_back({parse_digest(content).value_or(Digest{}), static_cast<std::uint64_t>(size),
                     static_cast<std::uint64_t>(data)});
    return out;
  });
}

std::vector<std::string> Records::images_of(const Digest& content) const {
  return db_->run([&](soci::session& sql) {
    std::vector<std::string> out;
    std::string name, version;
    const std::string c = to_hex(content);
    soci::statement query =
        (sql.prepare << "SELECT i.name, i.version FROM images i JOIN image_disks x ON x.image = i.id"
                        " WHERE x.content = :c ORDER BY i.name, i.sequence",
         use(c), into(name), into(version));
    query.execute();
    while (query.fetch()) out.push_back(name + ":" + version);
    return out;
  });
}

void Records::remove(const std::string& image_id) {
  db_->write([&](soci::session& sql) {
    sql << "DELETE FROM images WHERE id = :i", use(image_id);
    return true;
  });
}

std::vector<PackRecord> Records::forget_unused() {
  return db_->write([&](soci::session& sql) {
    sql << "DELETE FROM disks WHERE content NOT IN (SELECT content FROM image_disks)";
    std::vector<PackRecord> out;
    PackRecord pack;
    long long bytes = 0, chunks = 0;
    soci::statement query =
        (sql.prepare << "SELECT id, bytes, chunks FROM packs WHERE id NOT IN (SELECT pack FROM disk_packs)",
         into(pack.id), into(bytes), into(chunks));
    query.execute();
    while (query.fetch())
      out.push_back({pack.id, static_cast<std::uint64_t>(bytes), static_cast<std::uint64_t>(chunks)});
    for (const PackRecord& unused : out) sql << "DELETE FROM packs WHERE id = :i", use(unused.id);
    return out;
  });
}

}  // namespace kiln

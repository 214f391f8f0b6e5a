#include "catalog/channel_rows.h"

#include <soci/soci.h>

#include "catalog/image_rows.h"
#include "catalog/names.h"

namespace kiln {
namespace {

using soci::into;
using soci::use;

Error is_a_version(const ChannelName& of) {
  return invalid("image " + of.name + " has a version \"" + of.channel + "\", so no channel can be called that",
                 "give the channel another name");
}

}  // namespace

std::optional<std::string> channel_target(soci::session& sql, const ChannelName& of) {
  std::string image;
  sql << "SELECT image FROM channels WHERE region = :r AND owner = :o AND name = :n AND channel = :c", use(of.region),
      use(of.owner), use(of.name), use(of.channel), into(image);
  if (!sql.got_data()) return std::nullopt;
  return image;
}

void point_channel(soci::session& sql, const ChannelName& of, const ChannelTarget& to, const std::string& actor) {
  const Moment now = now_moment();
  const long long back_to = to.back_to;
  sql << "DELETE FROM channels WHERE region = :r AND owner = :o AND name = :n AND channel = :c", use(of.region),
      use(of.owner), use(of.name), use(of.channel);
  if (!to.image.empty())
    sql << "INSERT INTO channels (region, owner, name, channel, image) VALUES (:r, :o, :n, :c, :i)", use(of.region),
        use(of.owner), use(of.name), use(of.channel), use(to.image);
  sql << "INSERT INTO channel_history (sequence, region, owner, name, channel, image, version, actor, moment, back_to)"
         " SELECT COALESCE(MAX(sequence), 0) + 1, :r, :o, :n, :c, :i, :v, :a, :m, :b FROM channel_history",
      use(of.region), use(of.owner), use(of.name), use(of.channel), use(to.image), use(to.version), use(actor),
      use(now), use(back_to);
}

void remove_channels_of(soci::session& sql, const std::string& image, const std::string& actor) {
  ChannelName row;
  soci::statement query = (sql.prepare << "SELECT region, owner, name, channel FROM channels WHERE image = :i",
                           use(image), into(row.region), into(row.owner), into(row.name), into(row.channel));
  query.execute();
  std::vector<ChannelName> channels;
  while (query.fetch()) channels.push_back(row);
  for (const ChannelName& channel : channels) point_channel(sql, channel, {}, actor);
}

std::vector<ChannelMove> channel_moves(soci::session& sql, const ChannelName& of) {
  ChannelMove move;
  long long sequence = 0, back_to = 0;
  soci::statement query =
      (sql.prepare << "SELECT image, version, actor, moment, sequence, back_to FROM channel_history WHERE region = :r"
                      " AND owner = :o AND name = :n AND channel = :c ORDER BY sequence DESC",
       use(of.region), use(of.owner), use(of.name), use(of.channel), into(move.image), into(move.version),
       into(move.actor), into(move.moment), into(sequence), into(back_to));
  query.execute();
  std::vector<ChannelMove> out;
  while (query.fetch()) {
    move.sequence = sequence;
    move.back_to = back_to;
    out.push_back(move);
  }
  return out;
}

void require_own_words(soci::session& sql, const ChannelName& of, const std::string& version) {
  if (!version.empty() && has_version(sql, of.region, of.owner, of.name, version))
    throw version_exists(of.name, version);
  if (!version.empty() && channel_target(sql, {of.region, of.owner, of.name, version}))
    throw invalid("image " + of.name + " has a channel \"" + version + "\", so no version can be called that",
                  "give another version; --channel " + version + " points the channel at it");
  if (!of.channel.empty() && (of.channel == version || has_version(sql, of.region, of.owner, of.name, of.channel)))
    throw is_a_version(of);
}

}  // namespace kiln

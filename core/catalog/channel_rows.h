#pragma once
// Channels and where they pointed, inside a transaction.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "catalog/database.h"
#include "catalog/lifecycle.h"

namespace kiln {

/// Which channel: of one name of one owner.
struct ChannelName {
  std::string region, owner, name, channel;
};

/// Where a channel pointed.
struct ChannelMove {
  std::string image, version;  ///< empty: the channel was removed
  std::string actor;
  Moment moment;
  std::int64_t sequence = 0;  ///< the order of moves
  std::int64_t back_to = 0;   ///< of a rollback: the sequence of the move that it went back to

  /// Where a further rollback starts: what was moved away from by going back is not come back to.
  std::int64_t position() const { return back_to > 0 ? back_to : sequence; }
};

/// The id of the image that it points at.
std::optional<std::string> channel_target(soci::session&, const ChannelName&);
/// Points it at an image, or, when `image` is empty, removes it; written down in its history.
struct ChannelTarget {
  std::string image = {}, version = {};
  std::int64_t back_to = 0;
};
void point_channel(soci::session&, const ChannelName&, const ChannelTarget&, const std::string& actor);
/// Every channel that points at the image is removed, by `actor`.
void remove_channels_of(soci::session&, const std::string& image, const std::string& actor);
/// The newest first.
std::vector<ChannelMove> channel_moves(soci::session&, const ChannelName&);

/// "web:stable" means one thing. Throws invalid() when the version is there already, when it is the name of a channel,
/// and when the channel has the name of a version; what is empty does not count.
void require_own_words(soci::session&, const ChannelName&, const std::string& version);

}  // namespace kiln

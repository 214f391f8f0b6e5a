#pragma once
// A file from a server, or from one of several that have the same: with retries, resumed, verified, and kept.

#include <optional>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "origin/address.h"
#include "origin/download_cache.h"
#include "params.h"

namespace kiln::import {

class Fetch;

struct Wanted {
  std::vector<std::string> urls;  ///< of the same file; in the order in which they are tried
  Digests expected = {};
  std::uint64_t limit;  ///< more bytes are refused
};

struct Downloaded {
  File file;
  Note note;
};

/// One thread. Uses the retries, patience, refresh, ttl and allow of the parameters.
class Downloads {
 public:
  Downloads(Context&, const Params&);

  /// What the cache has when the freshness rule says that it will do, else what the servers have. Throws Error with a
  /// line of evidence for each URL; refused() for an address or a digest that is wrong, and for a file that is too
  /// large.
  Downloaded get(const Wanted&);

 private:
  Part take_part(const std::string& key, const std::string& name);
  bool will_do(const Note&, const Wanted&) const;
  /// From the first of the URLs that has it; nothing when it is still the one that is known.
  std::optional<Note> fetch(Fetch&, const Wanted&, const std::optional<Note>& known) const;

  Context& ctx_;
  const Params& params_;
  AddressRule rule_;
  DownloadCache cache_;
};

/// Whether the server says that its file is still the one of these facts, as import left them. One short request.
bool is_unchanged(const Params&, const Facts& made);
/// The facts that it goes by.
void note_origin(Facts&, const Note&);

}  // namespace kiln::import

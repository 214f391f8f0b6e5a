#pragma once
// Where a disk image comes from: a file of this host, a URL, the standard input, an NBD server.

#include <string>

#include <kiln/context.h>
#include <kiln/stage.h>

#include "params.h"
#include "steady.h"

namespace kiln::import {

/// A file to look into, and what is known of it.
struct Origin {
  Input input;
  std::string name;  ///< for people
  Facts facts =
      {};  ///< "source.url", "source.fetched", "source.etag", "source.modified", "source.sha256", "source.sha512"
};

/// What is wrong with the parameters that say where it is.
void check_origin(const Params&, Check&);
bool is_from_nbd(const Params&);
bool is_from_stdin(const Params&);

/// Opens the file, or downloads it, or takes what the standard input has, and verifies what was expected of it. Throws
/// Error.
Origin find_origin(Context&, const Params&);
/// What else decides the result, but for a file. No request is made for it: is_still_there() asks.
std::string origin_fingerprint(const Params&);
bool is_still_there(const Params&, const Facts& made);

}  // namespace kiln::import

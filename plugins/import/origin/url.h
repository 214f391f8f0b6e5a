#pragma once
// The parts of a URL, as libcurl reads it: what is checked is what is connected to.

#include <string>

namespace kiln::import {

struct Url {
  std::string text;                ///< as given
  std::string scheme, host, port;  ///< in lower case; the port that the scheme implies when none is given
  std::string path, query;         ///< the path decoded

  /// Without what may be a secret, the query: for people and for records.
  std::string shown() const;
  /// The last part of the path, fit for people and made without slashes; the host's name when there is none.
  std::string file_name() const;
  bool is_http() const { return scheme == "http" || scheme == "https"; }
  bool is_nbd() const { return scheme == "nbd" || scheme == "nbd+unix"; }
};

/// Throws invalid() for what is none, for a scheme that kiln does not know, and for a name or a password in it.
Url parse_url(const std::string&);
/// A proxy as the environment names it: "host", "host:port" or a URL, with a password if need be.
Url parse_proxy(const std::string&);
/// Whether it is meant to be one, and no path.
bool looks_like_url(const std::string&);

}  // namespace kiln::import

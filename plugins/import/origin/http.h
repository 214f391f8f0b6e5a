#pragma once
// One file over HTTP, by libcurl: each address checked before it is connected to, each redirection looked at, and
// nothing that a server does makes it wait or grow without end. With url.cpp the only code here that knows libcurl.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include <kiln/value.h>

#include "origin/address.h"

namespace kiln::import {

/// By what a server tells one version of a file from another (RFC 9110, section 8.8).
struct Validators {
  std::string etag, modified;
  bool empty() const { return etag.empty() && modified.empty(); }
  bool operator==(const Validators&) const = default;
};

struct Ask {
  std::string url;
  std::uint64_t from = 0;    ///< the first byte wanted
  Validators same = {};      ///< from there on only when it is still this one, else all of it (If-Range)
  Validators known = {};     ///< only when it is another one (If-None-Match, If-Modified-Since)
  bool header_only = false;  ///< no body: whether it changed
};

/// What the last answer's headers say.
struct Answer {
  long status = 0;  ///< 0: there was none
  std::string url;  ///< where it came from, after redirections
  Validators validators;
  std::uint64_t from = 0;              ///< which byte its body begins with
  std::optional<std::uint64_t> total;  ///< of the whole file
  Duration retry_after{0};
  /// Why the body is not complete, or why there is no answer; empty when all went well.
  std::string broken;
  bool passing = false;  ///< it may go better when one tries again
};

/// Who gets the body. Called on the caller's thread. What they throw ends the transfer and comes out of get().
class Receiver {
 public:
  virtual void begin(const Answer&) = 0;  ///< of status 200 or 206, before the first byte
  virtual void take(std::span<const std::byte>) = 0;
  virtual void tick() {}  ///< several times a second

 protected:
  ~Receiver() = default;
};

/// One thread.
class Http {
 public:
  /// `patience`: how long a server may be silent, or slower than 1 KiB/s.
  Http(const AddressRule& rule, Duration patience, std::stop_token stop)
      : rule_(rule), patience_(patience), stop_(std::move(stop)) {}

  /// What servers and networks do comes back in the Answer. Throws refused() for an address that is not allowed, more
  /// than five redirections, or one that leads from TLS to none; cancelled().
  Answer get(const Ask&, Receiver&) const;

 private:
  const AddressRule& rule_;
  Duration patience_;
  std::stop_token stop_;
};

/// The proxy that the environment names for this scheme, as curl(1) understands it; empty when there is none. A proxy
/// connects in our place: where it connects to is checked only as far as this host knows the name.
std::string proxy_for(const std::string& scheme);

}  // namespace kiln::import

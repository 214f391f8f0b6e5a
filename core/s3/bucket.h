#pragma once
// A bucket of an object store that speaks S3. Requests are signed (AWS Signature Version 4, by libcurl) over the
// SHA-256 of their body, TLS is verified, redirections are not followed, and answers are bounded.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/error.h>

namespace kiln::s3 {

struct BucketPlace {
  std::string url;  ///< "https://host[:port]/bucket"; "http://" only for a loopback address
  std::string region = "us-east-1";
  std::string access_key = {}, secret_key = {};
};

/// An object as a listing shows it.
struct Listed {
  std::string key;
  std::uint64_t bytes = 0;
  std::string modified;  ///< by the server's clock, as in "2026-11-22T20:00:00Z"
};

/// Any thread; each request has a connection of its own, which is kept for the next one. Keys consist of letters,
/// digits and "._-/". A request that times out, or that the server cannot serve just now, is repeated up to five times,
/// for about six seconds. Errors name the bucket, the key, and what the server said.
class Bucket {
 public:
  /// Throws invalid() when the place cannot be one.
  explicit Bucket(BucketPlace);
  Bucket(const Bucket&) = delete;
  Bucket& operator=(const Bucket&) = delete;
  ~Bucket();

  const std::string& url() const noexcept;

  /// Nothing when there is no such object. More than `limit` bytes is an Error.
  std::optional<std::vector<std::byte>> get(const std::string& key, std::size_t limit) const;
  /// The object is there, whole, when it returns: the server compares the digest of what arrived.
  void put(const std::string& key, std::span<const std::byte> body) const;
  /// The same, unless the object is there already: then false, and it stays as it is. A request that was repeated may
  /// have been served the first time, so false can mean one's own.
  bool put_new(const std::string& key, std::span<const std::byte> body) const;
  /// Also when it is not there.
  void remove(const std::string& key) const;
  /// All objects whose keys begin so, in the order of the keys.
  std::vector<Listed> list_objects(const std::string& prefix) const;
  /// Their keys.
  std::vector<std::string> list(const std::string& prefix) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::s3

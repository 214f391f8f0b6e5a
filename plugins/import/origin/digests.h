#pragma once
// What a file's digest must be, and what it is.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <kiln/hash.h>

namespace kiln::import {

/// Digests in lower-case hexadecimal; empty where nothing is said.
struct Digests {
  std::string sha256, sha512;
  bool empty() const { return sha256.empty() && sha512.empty(); }
};

/// Both at once, in the order in which the bytes come. One thread.
class RunningDigests {
 public:
  explicit RunningDigests(bool sha512) : with_sha512_(sha512) {}
  void update(std::span<const std::byte>);
  /// The result. It starts afresh.
  Digests finish();

 private:
  bool with_sha512_;
  Hasher sha256_, sha512_{Algorithm::sha512};
};

/// "sha256:AB…" or the digits alone, in lower case; empty when it is no digest of that many hexadecimal digits.
std::string plain_digest(std::string_view text, Algorithm);
/// Throws refused() when something is expected and not so. `name`: the file's.
void require(const Digests& expected, const Digests& found, const std::string& name);

}  // namespace kiln::import

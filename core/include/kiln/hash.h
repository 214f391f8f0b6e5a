#pragma once
// Cryptographic digests, by OpenSSL. The only door to them: plugins and core use this class alike.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <kiln/digest.h>

namespace kiln {

/// sha1 only where a stranger's manifest has nothing better: it proves that nothing broke, not who wrote it.
enum class Algorithm { sha256, sha512, sha1 };

/// One running digest. Not for two threads at once; keep one per thread and use it again after each result, because
/// making one costs more than hashing a few kilobytes.
class KILN_API Hasher {
 public:
  explicit Hasher(Algorithm = Algorithm::sha256);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  Hasher& update(std::span<const std::byte>);
  Hasher& update(std::string_view);

  /// The result, as lower-case hexadecimal. The hasher starts afresh.
  std::string hex();
  /// The result of sha256 as a value. The hasher starts afresh.
  Digest digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of bytes in memory.
KILN_API Digest sha256(std::span<const std::byte>);
KILN_API Digest sha256(std::string_view);

/// Digest of a whole file, in hexadecimal, as sha256sum and sha512sum print it. Throws when it cannot be read.
KILN_API std::string hash_file(const std::filesystem::path&, Algorithm = Algorithm::sha256);

}  // namespace kiln

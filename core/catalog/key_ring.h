#pragma once
// The keys that a user has: own ones to sign with, and those of others that are trusted. A folder of PEM files:
//
//     NAME.pem   an own private key, mode 0600
//     NAME.pub   the public key of somebody whom the user trusts under that name

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "catalog/signing_key.h"

namespace kiln {

struct RingKey {
  std::string name;
  PublicKey key;
  bool is_own;  ///< its private half is here
};

/// Making one reads and creates nothing. Any thread. Throws Error naming the file that cannot be read or is no key.
class KeyRing {
 public:
  explicit KeyRing(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// By name. A folder that is not there holds none.
  std::vector<RingKey> keys() const;
  /// Throws invalid() with the nearest name when there is none.
  RingKey get(const std::string& name) const;
  /// An own key's private half. Throws invalid() when there is none of that name, refused() when other users can read
  /// its file.
  SigningKey signing_key(const std::string& name) const;

  /// Throws invalid() for a name that is no file's name or taken.
  RingKey make(const std::string& name);
  /// Takes the public key of a file. Throws invalid() also when that key is here under another name.
  RingKey trust(const std::filesystem::path& file, const std::string& name);

 private:
  std::filesystem::path file_of(const std::string& name, bool is_own) const;
  void require_free(const std::string& name) const;
  void store(const std::filesystem::path&, const std::string& pem) const;

  std::filesystem::path folder_;
};

}  // namespace kiln

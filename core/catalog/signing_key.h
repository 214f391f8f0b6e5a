#pragma once
// Ed25519 keys, by OpenSSL: what images are signed with, and what their signatures are checked against.

#include <memory>
#include <string>
#include <string_view>

#include <kiln/error.h>

struct evp_pkey_st;

namespace kiln {

/// Immutable; copies share the key. Any thread.
class PublicKey {
 public:
  /// Reads PEM ("BEGIN PUBLIC KEY"). Throws invalid() that names `where` it was read for what is no Ed25519 key,
  /// refused() for a private key.
  static PublicKey parse(const std::string& pem, const std::string& where);

  std::string pem() const;
  /// SHA-256 of the key's DER form (SubjectPublicKeyInfo), in hexadecimal: `openssl pkey -outform DER | sha256sum`.
  const std::string& id() const noexcept { return id_; }
  /// Whether `signature`, 128 hexadecimal digits, is this key's over the text. What is no signature is false.
  bool verifies(std::string_view text, std::string_view signature) const;

 private:
  friend class SigningKey;
  explicit PublicKey(std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
};

/// A private key. Immutable; copies share it. Any thread.
class SigningKey {
 public:
  static SigningKey make();
  /// Reads PEM ("BEGIN PRIVATE KEY", without a passphrase). Throws invalid() that names `where` it was read.
  static SigningKey parse(const std::string& pem, const std::string& where);

  std::string pem() const;
  PublicKey public_key() const;
  /// 128 hexadecimal digits; the same text gives the same ones.
  std::string sign(std::string_view text) const;

 private:
  explicit SigningKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}

  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace kiln

#include "catalog/signing_key.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <new>
#include <optional>
#include <vector>

#include <kiln/hash.h>

namespace kiln {
namespace {

constexpr std::size_t signature_size = 64;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Bio = std::unique_ptr<BIO, Free>;

Error broken() {
  return Error("OpenSSL cannot use Ed25519", "check OpenSSL's configuration of providers");
}

void must(int result) {
  if (result != 1) throw broken();
}

Bio bio_of(const std::string& text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) throw std::bad_alloc();
  return bio;
}

Bio empty_bio() {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!bio) throw std::bad_alloc();
  return bio;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

/// Without it OpenSSL would ask for a passphrase on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

std::shared_ptr<EVP_PKEY> owned(EVP_PKEY* key) {
  return {key, EVP_PKEY_free};
}

bool is_ed25519(const std::shared_ptr<EVP_PKEY>& key) {
  return key != nullptr && EVP_PKEY_get_id(key.get()) == EVP_PKEY_ED25519;
}

std::string hex_of(std::span<const unsigned char> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char b : bytes) (out += digits[b >> 4]) += digits[b & 15];
  return out;
}

std::optional<std::array<unsigned char, signature_size>> signature_in(std::string_view hex) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  std::array<unsigned char, signature_size> out{};
  if (hex.size() != 2 * out.size()) return std::nullopt;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return out;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

PublicKey::PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key_.get(), &der);
  if (size <= 0) throw broken();
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> kept(der, [](unsigned char* p) { OPENSSL_free(p); });
  id_ = to_hex(sha256(std::as_bytes(std::span(der, static_cast<std::size_t>(size)))));
}

PublicKey PublicKey::parse(const std::string& pem, const std::string& where) {
  if (pem.find("PRIVATE KEY") != std::string::npos)
    throw refused(where + " is a private key", "give its public half: kiln key export NAME, or openssl pkey -pubout");
  const Bio bio = bio_of(pem);
  auto key = owned(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr));
  if (!is_ed25519(key))
    throw invalid(where + " holds no Ed25519 public key in PEM",
                  "kiln key export NAME, or openssl pkey -pubout, makes one");
  return PublicKey(std::move(key));
}

std::string PublicKey::pem() const {
  const Bio bio = empty_bio();
  must(PEM_write_bio_PUBKEY(bio.get(), key_.get()));
  return text_of(bio.get());
}

bool PublicKey::verifies(std::string_view text, std::string_view signature) const {
  const auto bytes = signature_in(signature);
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  if (!context) throw std::bad_alloc();
  must(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()));
  return bytes && EVP_DigestVerify(context.get(), bytes->data(), bytes->size(), bytes_of(text), text.size()) == 1;
}

SigningKey SigningKey::make() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (key == nullptr) throw broken();
  return SigningKey(owned(key));
}

SigningKey SigningKey::parse(const std::string& pem, const std::string& where) {
  const Bio bio = bio_of(pem);
  auto key = owned(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!is_ed25519(key))
    throw invalid(where + " holds no Ed25519 private key in PEM without a passphrase", "kiln key new makes one");
  return SigningKey(std::move(key));
}

std::string SigningKey::pem() const {
  const Bio bio = empty_bio();
  must(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, no_passphrase, nullptr));
  return text_of(bio.get());
}

PublicKey SigningKey::public_key() const {
  return PublicKey(key_);
}

std::string SigningKey::sign(std::string_view text) const {
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  if (!context) throw std::bad_alloc();
  must(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()));
  std::array<unsigned char, signature_size> out{};
  std::size_t size = out.size();
  must(EVP_DigestSign(context.get(), out.data(), &size, bytes_of(text), text.size()));
  if (size != out.size()) throw broken();
  return hex_of(out);
}

}  // namespace kiln

#include <kiln/hash.h>

#include <kiln/file.h>

#include <openssl/evp.h>

#include <array>
#include <vector>

namespace kiln {
namespace {

// Fetching an implementation walks OpenSSL's providers under a lock: slower than hashing a chunk. Once per process.
const EVP_MD* implementation(Algorithm algorithm) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  static const EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  const EVP_MD* found = algorithm == Algorithm::sha256 ? sha256 : algorithm == Algorithm::sha512 ? sha512 : sha1;
  if (found == nullptr)
    throw Error(algorithm == Algorithm::sha1 ? "OpenSSL has no SHA-1" : "OpenSSL has no SHA-2",
                "check OpenSSL's configuration of providers");
  return found;
}

void must(int result) {
  if (result != 1) throw Error("OpenSSL cannot hash", "check OpenSSL's configuration of providers");
}

}  // namespace

struct Hasher::State {
  explicit State(Algorithm algorithm) : md(implementation(algorithm)), context(EVP_MD_CTX_new()) {
    if (context == nullptr) throw std::bad_alloc();
    must(EVP_DigestInit_ex(context.get(), md, nullptr));
  }

  std::size_t finish(std::span<unsigned char> out) {
    unsigned length = 0;
    must(EVP_DigestFinal_ex(context.get(), out.data(), &length));
    must(EVP_DigestInit_ex(context.get(), nullptr, nullptr));
    return length;
  }

  struct Free {
    void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
  };
  const EVP_MD* md;
  std::unique_ptr<EVP_MD_CTX, Free> context;
};

Hasher::Hasher(Algorithm algorithm) : state_(std::make_unique<State>(algorithm)) {}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

Hasher& Hasher::update(std::span<const std::byte> bytes) {
  must(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()));
  return *this;
}

Hasher& Hasher::update(std::string_view text) {
  return update(std::as_bytes(std::span(text)));
}

std::string Hasher::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  const std::size_t length = state_->finish(out);
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * length);
  for (std::size_t i = 0; i < length; ++i) {
    text += digits[out[i] >> 4];
    text += digits[out[i] & 15];
  }
  return text;
}

Digest Hasher::digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  Digest digest;
  if (state_->finish(out) != digest.bytes.size()) throw invalid("a Digest holds SHA-256 only", "ask for hex()");
  std::memcpy(digest.bytes.data(), out.data(), digest.bytes.size());
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
  return Hasher().update(bytes).digest();
}

Digest sha256(std::string_view text) {
  return Hasher().update(text).digest();
}

std::string hash_file(const std::filesystem::path& path, Algorithm algorithm) {
  const File file = File::open_read(path);
  Hasher hasher(algorithm);
  std::vector<std::byte> buffer(256 * 1024);
  for (std::uint64_t at = 0;;) {
    const std::size_t got = file.read_some(at, buffer);
    hasher.update(std::span(buffer).first(got));
    at += got;
    if (got < buffer.size()) return hasher.hex();
  }
}

}  // namespace kiln

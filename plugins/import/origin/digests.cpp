#include "origin/digests.h"

#include <algorithm>
#include <cctype>

#include <kiln/finding.h>

namespace kiln::import {
namespace {

void require_one(const char* algorithm, const std::string& expected, const std::string& found,
                 const std::string& name) {
  if (expected.empty() || expected == found) return;
  throw refused(name + " does not have the expected " + algorithm,
                std::string("get the file again, or correct ") + algorithm + " when a newer file is meant",
                {"expected " + expected, "it is    " + found})
      .as(code::hash_mismatch);
}

}  // namespace

void RunningDigests::update(std::span<const std::byte> bytes) {
  sha256_.update(bytes);
  if (with_sha512_) sha512_.update(bytes);
}

Digests RunningDigests::finish() {
  return {sha256_.hex(), with_sha512_ ? sha512_.hex() : std::string()};
}

std::string plain_digest(std::string_view text, Algorithm algorithm) {
  const bool sha512 = algorithm == Algorithm::sha512;
  const std::string_view prefix = sha512 ? "sha512:" : "sha256:";
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  if (text.size() != (sha512 ? 128U : 64U)) return {};
  std::string out(text);
  for (char& c : out) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return {};
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

void require(const Digests& expected, const Digests& found, const std::string& name) {
  require_one("sha256", expected.sha256, found.sha256, name);
  require_one("sha512", expected.sha512, found.sha512, name);
}

}  // namespace kiln::import

#pragma once
// What a pipeline can say of an import.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <kiln/value.h>

namespace kiln::import {

struct Params {
  std::filesystem::path file;  ///< "-": the standard input
  std::string format, tag;
  std::string url;
  std::string domain, connect;  ///< of libvirt's
  std::vector<std::string> mirrors;
  std::string sha256, sha512;
  std::filesystem::path checksums, signature;  ///< or URLs
  InputPath keyring;
  std::string refresh = "changed";
  Duration ttl{0};
  Bytes limit{std::uint64_t{1} << 40};
  Duration patience{30'000};
  std::int64_t retries = 5;
  std::vector<std::string> allow;
  Bytes unpack_limit{std::uint64_t{16} << 40};
};

}  // namespace kiln::import

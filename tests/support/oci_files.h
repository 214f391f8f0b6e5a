#pragma once
// An OCI image layout in pieces, to be changed and put together again with digests that fit.

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include <kiln/hash.h>
#include <nlohmann/json.hpp>

namespace kiln::test {

class OciFiles {
 public:
  explicit OciFiles(std::filesystem::path folder) : folder_(std::move(folder)) {
    top = nlohmann::json::parse(slurp(folder_ / "index.json"));
    manifest = nlohmann::json::parse(slurp(blob(top["manifests"][0])));
    config = nlohmann::json::parse(slurp(blob(manifest["config"])));
    chunks = slurp(blob(manifest["layers"][0]));
  }

  nlohmann::json top, manifest, config;  ///< index.json, and what its first entry names
  std::string chunks;                    ///< the blob of the first layer: the index of chunks

  /// The file that a descriptor names.
  std::filesystem::path blob(const nlohmann::json& descriptor) const {
    return folder_ / "blobs/sha256" / descriptor["digest"].get<std::string>().substr(7);
  }
  /// Makes a blob and writes its digest and size into the descriptor.
  void put(nlohmann::json& descriptor, const std::string& bytes) const {
    descriptor["digest"] = "sha256:" + to_hex(sha256(bytes));
    descriptor["size"] = bytes.size();
    write(blob(descriptor), bytes);
  }
  /// Writes all of it, as it is now.
  void store() {
    put(manifest["config"], config.dump());
    if (manifest["layers"].size() > 0) put(manifest["layers"][0], chunks);
    put(top["manifests"][0], manifest.dump());
    write(folder_ / "index.json", top.dump());
  }
  /// Gives the index of chunks the content digest of its entries, and tells the other documents.
  void sign_chunks() {
    Hasher hasher;
    hasher.update("kiln-disk-1\n").update(std::string_view(chunks).substr(8, 8));
    for (std::size_t at = 64; at + 56 <= chunks.size(); at += 56)
      hasher.update(std::string_view(chunks).substr(at, 40));
    const Digest content = hasher.digest();
    for (std::size_t i = 0; i < 32; ++i) chunks[32 + i] = static_cast<char>(content.bytes[i]);
    config["kiln"]["content"] = "sha256:" + to_hex(content);
    manifest["annotations"]["vnd.kiln.disk.content"] = "sha256:" + to_hex(content);
  }

  static std::string slurp(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::filesystem::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace kiln::test

#pragma once
// The files of an OCI image layout, read as a stranger's: nothing is opened by a name that was read, nothing through a
// symbolic link, and nothing is used whose size and digest were not compared.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/digest.h>
#include <kiln/file.h>
#include <nlohmann/json.hpp>

namespace kiln::import {

/// What a document says of a blob (OCI Image Format Specification 1.1, descriptor.md).
struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
};

/// JSON with at most 16 levels and no name twice in an object, so that no two programs can read it differently.
/// Throws Error naming `where`.
nlohmann::json strict_json(std::string_view text, const std::string& where);

/// Members of a JSON object; each throws Error naming `where` when it is absent or of another type.
const nlohmann::json& member(const nlohmann::json& object, const char* name, const std::string& where);
std::string text_member(const nlohmann::json& object, const char* name, const std::string& where);
std::uint64_t number_member(const nlohmann::json& object, const char* name, const std::string& where);
Descriptor descriptor_of(const nlohmann::json&, const std::string& where);

/// An annotation of a descriptor or a manifest; empty when there is none.
std::string annotation(const nlohmann::json& object, const char* name);

class Blobs {
 public:
  explicit Blobs(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const noexcept { return folder_; }
  /// "oci-layout" or "index.json": a fixed name in the folder itself.
  nlohmann::json document(const char* name) const;
  /// A blob of JSON.
  nlohmann::json document(const Descriptor&) const;
  /// A blob in memory. Throws Error when it has more than `limit` bytes.
  std::vector<std::byte> whole(const Descriptor&, std::uint64_t limit) const;
  /// Opened by its digest; its size is compared.
  File open(const Descriptor&) const;
  /// Reads all of it and compares the digest. `progress` gets the bytes of each step, and may throw.
  void verify(const Descriptor&, const std::function<void(std::uint64_t)>& progress) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace kiln::import

#pragma once
// An OCI image layout that is written: a folder of blobs named by their digests, and an index of what they make.
//
// Source: OCI Image Format Specification 1.1, image-layout.md, image-index.md, annotations.md.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/digest.h>
#include <nlohmann/json.hpp>

#include "process/file_lock.h"

namespace kiln {

inline constexpr std::string_view oci_manifest_type = "application/vnd.oci.image.manifest.v1+json";

/// A layout that gets one more image. Nothing of it is visible before commit(): a new folder appears in one step, and
/// in one that exists the index is replaced last. Without commit() nothing is left. One thread; other kilns that add to
/// the same folder wait.
class OciLayout {
 public:
  /// `folder` must be new, empty, or a layout. Throws invalid() when it is something else, and Error when somebody
  /// makes it at this moment.
  explicit OciLayout(const std::filesystem::path& folder);
  OciLayout(const OciLayout&) = delete;
  OciLayout& operator=(const OciLayout&) = delete;
  ~OciLayout();

  /// Throws refused() when the tag names an image with another configuration than this.
  void require_free(const std::string& tag, const Digest& config) const;
  /// Makes the blob; one that is there and whole is kept. Safe from a power cut when it returns.
  Digest put(std::span<const std::byte> bytes);
  /// How many blobs put() had to write.
  std::size_t written() const noexcept { return written_.size(); }
  /// Adds a manifest's descriptor to the index under the tag.
  void commit(const std::string& tag, nlohmann::json descriptor);

 private:
  void begin_new();
  void open_existing();
  void remove_abandoned() const;
  std::filesystem::path blob(const Digest&) const;
  const nlohmann::json* tagged(const std::string& tag) const;
  bool is_tagged(const nlohmann::json& descriptor, const std::string& tag) const;

  std::filesystem::path target_, work_;  // the same when the layout was there
  std::optional<FileLock> lock_;         // on work_/oci-layout
  nlohmann::json index_;
  std::vector<std::filesystem::path> written_;
  bool committed_ = false;
};

/// The text that every layout and every blob of JSON is written with: sorted keys, no spaces, so that the same image
/// gives the same bytes.
std::string canonical_json(const nlohmann::json&);

}  // namespace kiln

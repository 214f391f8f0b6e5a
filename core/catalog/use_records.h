#pragma once
// Which instances run from which images. Several homes may use one catalog: what one of them runs keeps its image for
// all.

#include <string>
#include <vector>

#include "catalog/database.h"

namespace kiln {

struct ImageUse {
  std::string image;     ///< its id
  std::string home;      ///< which home has the instance: "host:/folder"
  std::string instance;  ///< its name; empty while it is being launched
  std::string account;   ///< whose it is; may be empty
  auto operator<=>(const ImageUse&) const = default;
};

/// A function is one transaction. Any thread.
class UseRecords {
 public:
  explicit UseRecords(Database& db) : db_(db) {}

  /// From here on the image stays. False, and nothing is recorded, when it is gone or in the trash.
  bool begin(const ImageUse&);
  /// All that a home has, in place of what was recorded of it. Writes only when that differs. What ran from an image
  /// that is gone is left out.
  void replace(const std::string& home, std::vector<ImageUse> uses);
  /// Of a home that is gone for good. Returns how many.
  std::size_t forget(const std::string& home);
  std::vector<ImageUse> of_home(const std::string& home) const;
  /// By home and instance.
  std::vector<ImageUse> of_image(const std::string& image) const;

 private:
  Database& db_;
};

}  // namespace kiln

#pragma once
// What is recorded of images' signatures.

#include <string>
#include <vector>

#include "catalog/database.h"
#include "catalog/image_signature.h"

namespace kiln {

/// A function is one transaction. Any thread.
class SignatureRecords {
 public:
  explicit SignatureRecords(Database& db) : db_(db) {}

  /// In place of an earlier one by the same key.
  void put(const std::string& image, const ImageSignature&);
  /// The oldest first.
  std::vector<ImageSignature> of_image(const std::string& image) const;

 private:
  Database& db_;
};

/// Inside the caller's transaction.
void put_signature(soci::session&, const std::string& image, const ImageSignature&);

}  // namespace kiln

#pragma once
// What is recorded of images' signatures. An image's entry lists them.

#include <string>
#include <utility>
#include <vector>

#include "catalog/database.h"
#include "catalog/image_signature.h"

namespace kiln {

class SignatureRecords {
 public:
  explicit SignatureRecords(Database& db) : db_(db) {}

  /// In place of an earlier one by the same key. One transaction; any thread.
  void put(const std::string& image, const ImageSignature&);

 private:
  Database& db_;
};

/// Inside the caller's transaction.
void put_signature(soci::session&, const std::string& image, const ImageSignature&);
/// (image, signature), the oldest first.
std::vector<std::pair<std::string, ImageSignature>> all_signatures(soci::session&);

}  // namespace kiln

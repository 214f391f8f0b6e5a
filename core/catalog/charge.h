#pragma once
// What a publish costs its owner: the stored bytes of those chunks that no other image of the owner has. Whether
// another owner has them does not matter, so that a quota tells nobody what others store.

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>

#include <kiln/digest.h>

#include "catalog/lease.h"
#include "catalog/store.h"

namespace kiln {

/// Counts nothing for an owner without a quota. One thread at a time.
class Charge {
 public:
  Charge(Store&, const std::string& region, const std::string& owner);

  /// A chunk of the disk, with the length of its stored bytes. Counts it once.
  void count(const Digest&, std::uint32_t stored);
  /// Reserves what was counted, before it is written, and something ahead. Throws refused() when it is too much.
  void cover(Lease&);
  /// Reserves exactly what was counted.
  void settle(Lease&);

 private:
  bool counts_ = false;
  std::unordered_set<Digest> own_;
  std::uint64_t counted_ = 0, reserved_ = 0;
};

/// Counts what the owner has stored, when it is not known exactly. Nothing: the owner has no quota.
std::optional<Quota> settled_quota(Store&, const std::string& region, const std::string& owner);

}  // namespace kiln

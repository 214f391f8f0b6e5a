#pragma once
// Which versions of an image may go: the rule, and its reasons.

#include <string>
#include <string_view>
#include <vector>

#include "catalog/keep_rule.h"
#include "catalog/life.h"

namespace kiln {

/// What becomes of one version, and why: "newer than the last 3", "instance web1 runs from it".
struct Verdict {
  ImageEntry entry;
  bool goes = false;
  std::string why;
};

/// Keeps the versions of a name that can be used and that the rule keeps, those that cannot be used and are not older
/// than all of these, and the newest available one whatever the rule says; and every one that is used, shared, public,
/// protected, in a channel, or the parent of an image that is still there, whosever that is.
class Retention {
 public:
  Retention(CatalogView view, Users users) : view_(std::move(view)), users_(std::move(users)) {}

  /// Every version of the name that this account owns, the newest first. Reads the catalog once. Throws invalid() when
  /// there is none.
  std::vector<Verdict> judge(std::string_view name, const KeepRule& keep) const;
  /// Puts what goes into the trash until `purge_at`, in one transaction; what changed meanwhile, so that it may not go,
  /// stays. Returns what went.
  std::vector<ImageEntry> carry_out(const std::vector<Verdict>&, const Moment& purge_at) const;

 private:
  std::string reason_to_stay(const ImageEntry&, const ImageEntry* child) const;
  CatalogView view_;
  Users users_;
};

}  // namespace kiln

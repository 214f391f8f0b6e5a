#pragma once
// Sharing an image with named accounts of the same region, and answering to it.

#include <string>
#include <string_view>
#include <vector>

#include "catalog/share_records.h"
#include "catalog/view.h"

namespace kiln {

/// One image that somebody has shared with this account.
struct OfferedImage {
  ImageEntry entry;
  Share share;
};

/// Sharing as one account may do it. Errors: as CatalogView::resolve().
class Sharing {
 public:
  explicit Sharing(CatalogView view) : view_(std::move(view)) {}

  /// Offers the image. `may_copy`: the member may copy it into its own images. Offering again changes what was granted.
  ImageEntry offer(std::string_view reference, const std::vector<std::string>& members, bool may_copy);
  /// Takes it back. Instances that run from the image go on.
  ImageEntry cancel(std::string_view reference, const std::vector<std::string>& members);
  ImageEntry accept(std::string_view reference);
  ImageEntry reject(std::string_view reference);

  /// Whether this account may know that another one uses an image: the operator may, and its owner, who must have
  /// shared it with that one, unless it is public.
  bool may_hear_of(const std::string& image_id, const std::string& account) const;
  /// Who has it: for its owner.
  std::vector<Share> members(std::string_view reference) const;
  /// What this account was offered, the newest first. What was rejected is left out.
  std::vector<OfferedImage> offered() const;
  /// Its shares in any state, without their images: what it may not see any longer is among them.
  std::vector<Share> of_me() const;

 private:
  ImageEntry answer(std::string_view reference, Share::State);
  CatalogView view_;
};

}  // namespace kiln

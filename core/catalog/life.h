#pragma once
// What the keepers of an image do with its life. lifecycle.h has the states.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/view.h"

namespace kiln {

/// Whether one of the users of an image is an instance's name.
inline bool is_instance_name(std::string_view user) {
  return user.find(' ') == std::string_view::npos;
}

/// What still uses an image: names of instances that `kiln rm` removes, and words such as "an instance of bob" for
/// others. Asked again when the records say that it is in use: then it must name somebody.
using Users = std::function<std::vector<std::string>(const ImageEntry&)>;

/// Errors: as CatalogView::resolve().
class Life {
 public:
  explicit Life(CatalogView view) : view_(std::move(view)) {}

  /// Newcomers no longer get it as the newest, from `at` on. `obsolete_at`: from then on it can no longer be used.
  /// `replacement`: what to use instead, a reference. What is empty stays as it was; `at`, when it never was, is now.
  ImageEntry deprecate(std::string_view reference, const Moment& at, const Moment& obsolete_at,
                       const std::string& replacement);
  ImageEntry undeprecate(std::string_view reference);
  /// Now or at a date: it and everything that was built from it can no longer be launched, built from, exported or
  /// copied. A revocation can be brought forward; to put it off, or to give another reason, it is taken back first.
  ImageEntry revoke(std::string_view reference, const Moment& at, const std::string& reason);
  ImageEntry unrevoke(std::string_view reference);
  ImageEntry protect(std::string_view reference, bool on);
  ImageEntry open_up(std::string_view reference, bool on);  ///< to everybody; the operator only
  /// Throws refused() when anything uses it, and when it is protected, public, shared or in a channel: the answer names
  /// them. Without `users`: users_on_record().
  void require_free(const ImageEntry&, const Users& users) const;
  /// Throws as require_free().
  ImageEntry trash(std::string_view reference, const Users& users, const Moment& purge_at);
  /// The instances that run from it, but those of the home `here`: this account's by name and place, others' by
  /// account when it may know of them.
  std::vector<std::string> users_on_record(const ImageEntry&, std::string_view here = {}) const;
  ImageEntry restore(std::string_view reference);

  /// The ids of all that was built from it, directly or not, as far as this account sees it; and those among them whose
  /// parent is no longer the newest of its name.
  struct Descendants {
    std::vector<ImageEntry> images;
    std::vector<std::string> out_of_date;  ///< ids
  };
  Descendants descendants(std::string_view reference) const;

 private:
  CatalogView view_;
};

}  // namespace kiln

#pragma once
// Who may do what with an image: the only place that decides.
//
// It is asked with an account's standing towards an image, never where that account came from: a configuration, a
// database's login, some day a token.

#include <string>
#include <string_view>

#include "catalog/image_entry.h"

namespace kiln {

/// Who asks. An operator may do everything with everybody's images.
struct Account {
  std::string name;
  bool is_operator = false;
};

/// What somebody wants to do with an image.
enum class Action {
  see,        ///< that it is there, and what is recorded of it
  launch,     ///< an instance
  build,      ///< another image from it
  write_out,  ///< to a file: export
  copy,       ///< to another region, or into one's own images
  change,     ///< description, tags, properties, protection
  promote,    ///< point a channel at it, or away from it
  share,      ///< and cancel shares
  retire,     ///< deprecate, and take that back
  revoke,     ///< and take that back
  trash,
  restore,  ///< from the trash
  purge,    ///< for good
  answer,   ///< accept or reject a share
  open_up,  ///< make it public, and take that back
  verify,   ///< read its stored bytes
};

/// How an account stands towards an image.
struct Standing {
  enum class Role { owner, operator_, pending, accepted, rejected, stranger } role = Role::stranger;
  bool may_copy = false;  ///< of an accepted share
  /// The image was offered to this very account, and it has not rejected it. An operator can be a member besides.
  bool is_member = false;
  std::string account = {};  ///< who asks, for what it is told to type
};

enum class Decision {
  allowed,
  hidden,  ///< for this account the image does not exist
  denied,  ///< it exists, but this is not for this account
  barred,  ///< nobody may, in the state in which the image is
};

/// The rule.
Decision decide(Action, const Standing&, ImageState, bool is_public);

/// Throws refused() when the image is seen but the action is denied or barred. What is hidden is the caller's to treat
/// as absent.
void require(Action, const Standing&, const ImageEntry&);

}  // namespace kiln

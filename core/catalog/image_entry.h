#pragma once
// An image as the catalog knows it: what stages see of it, and who owns it, what became of it, where it came from.

#include <map>
#include <string>
#include <vector>

#include <kiln/catalog.h>

#include "catalog/lifecycle.h"

namespace kiln {

/// The region that a catalog's own folder is.
inline constexpr const char* home_region = "local";

/// Somebody's word for an image; image_signature.h says what is signed.
struct ImageSignature {
  std::string key;        ///< id of the key
  std::string signature;  ///< 128 hexadecimal digits
  Moment made;            ///< when the image was made: a part of what is signed
  Moment signed_at;       ///< for people; nobody vouches for it
};

struct ImageEntry {
  Image image;
  std::string region, owner, description;
  bool is_public = false;     ///< published by the operator, for everybody
  bool is_protected = false;  ///< cannot be put into the trash
  Lifecycle life;
  std::vector<std::string> channels, tags;  ///< in order
  std::map<std::string, std::string> properties;
  std::vector<std::string> parents;             ///< ids; a parent may be gone
  std::vector<ImageSignature> signatures = {};  ///< the oldest first

  ImageState state() const { return life.at(now_moment()); }
  /// Neither being made, nor failed, nor in the trash.
  bool is_there() const {
    const ImageState now = state();
    return now != ImageState::creating && now != ImageState::failed && now != ImageState::trashed;
  }
  /// "web:2026-11-22.1"
  std::string reference() const { return image.name + ":" + image.version; }
  /// What an account is to type, which may have an image of that name itself: "alice/web:1" for everybody but alice.
  std::string reference_for(const std::string& account) const { return owner_for(account) + reference(); }
  std::string name_for(const std::string& account) const { return owner_for(account) + image.name; }
  /// The same of what to use instead; empty when nothing is named.
  std::string replacement_for(const std::string& account) const {
    const bool whole = life.replacement.empty() || life.replacement.find('/') != std::string::npos;
    return whole ? life.replacement : owner_for(account) + life.replacement;
  }

 private:
  std::string owner_for(const std::string& account) const { return owner == account ? "" : owner + "/"; }
};

}  // namespace kiln

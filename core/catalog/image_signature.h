#pragma once
// What is signed of an image, and whether its signatures are good. docs/store.md describes the signed text.

#include <string>
#include <vector>

#include <kiln/catalog.h>

#include "catalog/image_entry.h"
#include "catalog/key_ring.h"

namespace kiln {

class CatalogView;

/// The text: content, parts, name, version, owner, parents, source facts and the moment of making.
std::string signed_text(const Image&, const std::string& owner, const Moment& made);

ImageSignature sign_image(const Image&, const std::string& owner, const SigningKey&);

/// A signature, and what the keys that are here say to it.
struct CheckedSignature {
  enum class Verdict {
    good,
    bad,     ///< the key is here, but this is not what it has signed
    unknown  ///< the key is not here
  } verdict = Verdict::unknown;
  ImageSignature signature;
  std::string name;  ///< of the key; empty when it is unknown
};

std::string_view to_text(CheckedSignature::Verdict);

/// In the order given.
/// Also bad are those of an image whose record has lost a parent that is still there: with the parent it would lose
/// what it inherits of it.
std::vector<CheckedSignature> check_signatures(const CatalogView&, const ImageEntry&, const std::vector<RingKey>&);

}  // namespace kiln

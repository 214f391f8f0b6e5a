#pragma once
// What verbs answer about images, as text and as JSON: the same words everywhere.

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "catalog/image_signature.h"
#include "cli/output.h"

namespace kiln::cli {

/// All that is recorded of an image, and its state now.
Json image_json(const ImageEntry&);
/// Where the image came from: its facts "source.*", without that prefix.
Json source_json(const ImageEntry&);
/// "vendor.vhd, vhd" from the same facts; empty when nothing is known.
std::string source_text(const ImageEntry&);

Json signatures_json(const std::vector<CheckedSignature>&);
/// "release (3f2a…), good".
std::string signature_text(const CheckedSignature&);

/// "alice/web:1", as one account would name an image to another.
std::string full_reference(const ImageEntry&);
/// What `account` should hear before it uses the image: that it is deprecated, since when, and what to use instead.
std::vector<std::string> warnings_of(const ImageEntry&, const std::string& account);
/// The words with commas between them.
std::string listed(const std::vector<std::string>& words);

/// The answer of a verb that changed an image: the sentence, or the image as it is now.
void answer_image(Output&, const ImageEntry&, const std::string& sentence);

}  // namespace kiln::cli

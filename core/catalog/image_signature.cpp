#include "catalog/image_signature.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "catalog/store.h"
#include "catalog/view.h"

namespace kiln {

std::string signed_text(const Image& image, const std::string& owner, const Moment& made) {
  using nlohmann::json;
  json source = json::object(), parents = json::array();
  constexpr std::string_view prefix = "source.";
  for (const auto& [name, value] : image.facts) {
    if (name.starts_with(prefix)) source[name.substr(prefix.size())] = value;
    if (name == "parent") parents.push_back(value);
  }
  json text = {{"content", "sha256:" + to_hex(image.content)},
               {"made", made},
               {"name", image.name},
               {"owner", owner},
               {"parents", parents},
               {"source", source},
               {"type", "kiln-image-1"},
               {"version", image.version}};
  // Not of an image that is a disk only, so that what was signed before there were parts is signed still.
  for (const ImagePart& part : image.parts)
    text["parts"].push_back({{"content", "sha256:" + to_hex(part.content)}, {"name", part.name}, {"role", part.role}});
  // ASCII, and broken UTF-8 replaced, as the records do it: what was signed must be what is read back.
  return text.dump(-1, ' ', true, json::error_handler_t::replace);
}

ImageSignature sign_image(const Image& image, const std::string& owner, const SigningKey& key) {
  return {key.public_key().id(), key.sign(signed_text(image, owner, image.created)), image.created, now_moment()};
}

std::string_view to_text(CheckedSignature::Verdict verdict) {
  switch (verdict) {
    case CheckedSignature::Verdict::good:
      return "good";
    case CheckedSignature::Verdict::bad:
      return "bad";
    case CheckedSignature::Verdict::unknown:
      return "unknown";
  }
  return "";
}

std::vector<CheckedSignature> check_signatures(const CatalogView& view, const ImageEntry& entry,
                                               const std::vector<RingKey>& keys) {
  using Verdict = CheckedSignature::Verdict;
  const auto parent = entry.image.facts.find("parent");
  const bool lost = parent != entry.image.facts.end() && !std::ranges::count(entry.parents, parent->second) &&
                    !view.store().images.list({.id = parent->second}).empty();
  std::vector<CheckedSignature> out;
  for (const ImageSignature& signature : entry.signatures) {
    CheckedSignature checked{Verdict::unknown, signature, ""};
    const auto by = std::ranges::find_if(keys, [&](const RingKey& key) { return key.key.id() == signature.key; });
    if (by != keys.end()) {
      const std::string text = signed_text(entry.image, entry.owner, signature.made);
      checked.name = by->name;
      checked.verdict = !lost && by->key.verifies(text, signature.signature) ? Verdict::good : Verdict::bad;
    }
    out.push_back(std::move(checked));
  }
  return out;
}

}  // namespace kiln

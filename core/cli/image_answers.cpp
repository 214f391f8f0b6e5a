#include "cli/image_answers.h"

#include <fmt/format.h>
#include <kiln/text.h>
#include <nlohmann/json.hpp>

namespace kiln::cli {
namespace {

constexpr std::string_view source_prefix = "source.";

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

Json image_json(const ImageEntry& entry) {
  const Image& image = entry.image;
  const Lifecycle& life = entry.life;
  Json parts = Json::array();
  for (const ImagePart& part : image.parts)
    parts.push_back({{"role", part.role},
                     {"name", part.name},
                     {"content", "sha256:" + to_hex(part.content)},
                     {"virtual_size", part.virtual_size}});
  return {{"id", image.id},
          {"name", image.name},
          {"version", image.version},
          {"owner", entry.owner},
          {"region", entry.region},
          {"state", to_text(entry.state())},
          {"public", entry.is_public},
          {"protected", entry.is_protected},
          {"description", entry.description},
          {"channels", entry.channels},
          {"tags", entry.tags},
          {"properties", entry.properties},
          {"content", image.content.is_zero_chunk() ? Json(nullptr) : Json("sha256:" + to_hex(image.content))},
          {"virtual_size", image.virtual_size},
          {"parts", std::move(parts)},
          {"total_size", image.total_size()},
          {"stored_bytes", image.stored_bytes},
          {"created", image.created},
          {"deprecated_at", or_null(life.deprecated_at)},
          {"obsolete_at", or_null(life.obsolete_at)},
          {"replacement", or_null(life.replacement)},
          {"revoked_at", or_null(life.revoked_at)},
          {"ancestor_revoked", life.ancestor_revoked},
          {"reason", or_null(life.reason)},
          {"trashed_at", or_null(life.trashed_at)},
          {"purge_at", or_null(life.purge_at)},
          {"error", or_null(life.error)},
          {"facts", image.facts}};
}

Json source_json(const ImageEntry& entry) {
  Json source = Json::object();
  for (const auto& [name, value] : entry.image.facts)
    if (name.starts_with(source_prefix)) source[name.substr(source_prefix.size())] = value;
  return source;
}

std::string source_text(const ImageEntry& entry) {
  std::vector<std::string> words;
  for (const char* name : {"source.file", "source.image", "source.suite", "source.format"})
    if (const auto fact = entry.image.facts.find(name); fact != entry.image.facts.end()) words.push_back(fact->second);
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

Json signatures_json(const std::vector<CheckedSignature>& signatures) {
  Json all = Json::array();
  for (const CheckedSignature& one : signatures)
    all.push_back({{"key", or_null(one.name)},
                   {"key_id", one.signature.key},
                   {"verdict", to_text(one.verdict)},
                   {"made", one.signature.made},
                   {"signed_at", one.signature.signed_at}});
  return all;
}

std::string signature_text(const CheckedSignature& checked) {
  const std::string id = checked.signature.key.substr(0, 16) + "…";
  switch (checked.verdict) {
    case CheckedSignature::Verdict::good:
      return checked.name + " (" + id + "), good";
    case CheckedSignature::Verdict::bad:
      return checked.name + " (" + id + "), BAD: this is not what was signed";
    case CheckedSignature::Verdict::unknown:
      break;
  }
  return id + ", a key that is not trusted here";
}

std::string full_reference(const ImageEntry& entry) {
  return entry.owner + "/" + entry.reference();
}

std::vector<std::string> warnings_of(const ImageEntry& entry, const std::string& account) {
  if (entry.state() != ImageState::deprecated) return {};
  std::string text = fmt::format("image {} is deprecated since {}", entry.reference(), entry.life.deprecated_at);
  if (!entry.life.obsolete_at.empty()) text += fmt::format(", and cannot be used from {} on", entry.life.obsolete_at);
  if (!entry.life.replacement.empty()) text += fmt::format(": use {} instead", entry.replacement_for(account));
  return {text};
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

void answer_image(Output& out, const ImageEntry& entry, const std::string& sentence) {
  if (out.json())
    out.object(image_json(entry));
  else
    out.line(printable(sentence));
}

}  // namespace kiln::cli

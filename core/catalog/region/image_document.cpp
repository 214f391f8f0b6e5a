#include "catalog/region/image_document.h"

#include <nlohmann/json.hpp>

#include <kiln/error.h>

#include "catalog/names.h"

namespace kiln {
namespace {

using nlohmann::json;

/// Of an image with parts, so that no kiln which knows nothing of them takes their contents for unneeded.
constexpr int document_version = 1, version_with_parts = 2;

bool is_id(const std::string& text, std::size_t longest = 36) {
  return !text.empty() && text.size() <= longest && text.find_first_not_of("0123456789abcdef-") == std::string::npos;
}

Error damaged(const std::string& why) {
  return Error("an image's document is damaged", "copy the image there again", {why});
}

ImageSignature signature_in(const json& document) {
  ImageSignature out{document.at("key"), document.at("signature"), document.at("made"), document.at("signed_at")};
  if (!is_id(out.key, 64) || !is_id(out.signature, 128)) throw damaged("a signature is none");
  return out;
}

ImagePart part_in(const json& document) {
  const auto content = parse_digest(document.at("content").get<std::string>());
  if (!content) throw damaged("the content digest of a part is none");
  ImagePart out{document.at("role"), document.at("name"), *content, document.at("virtual_size")};
  require_name("role of a part", out.role);
  require_name("name of a part", out.name);
  return out;
}

json parts_of(const Image& image) {
  json out = json::array();
  for (const ImagePart& part : image.parts)
    out.push_back({{"role", part.role},
                   {"name", part.name},
                   {"content", "sha256:" + to_hex(part.content)},
                   {"virtual_size", part.virtual_size}});
  return out;
}

json signatures_of(const ImageEntry& entry) {
  json out = json::array();
  for (const ImageSignature& s : entry.signatures)
    out.push_back({{"key", s.key}, {"signature", s.signature}, {"made", s.made}, {"signed_at", s.signed_at}});
  return out;
}

ImageEntry read(const json& document) {
  const int version = document.at("kiln").get<int>();
  if (version != document_version && version != version_with_parts)
    throw Error("an image's document was written by a newer kiln", "install that kiln");
  ImageEntry entry;
  Image& image = entry.image;
  document.at("id").get_to(image.id);
  document.at("owner").get_to(entry.owner);
  document.at("name").get_to(image.name);
  document.at("version").get_to(image.version);
  require_name("owner", entry.owner);
  require_name("image name", image.name);
  require_name("image version", image.version);
  const auto content = parse_digest(document.at("content").get<std::string>());
  if (!content || !is_id(image.id)) throw damaged("its id or its content digest is none");
  image.content = *content;
  document.at("virtual_size").get_to(image.virtual_size);
  if (version == version_with_parts)
    for (const json& part : document.at("parts")) image.parts.push_back(part_in(part));
  document.at("stored_bytes").get_to(image.stored_bytes);
  document.at("created").get_to(image.created);
  image.facts = document.at("facts").get<Facts>();
  document.at("description").get_to(entry.description);
  document.at("tags").get_to(entry.tags);
  document.at("properties").get_to(entry.properties);
  document.at("parents").get_to(entry.parents);
  for (const json& signature : document.at("signatures")) entry.signatures.push_back(signature_in(signature));
  Lifecycle& life = entry.life;
  document.at("deprecated_at").get_to(life.deprecated_at);
  document.at("obsolete_at").get_to(life.obsolete_at);
  document.at("replacement").get_to(life.replacement);
  document.at("revoked_at").get_to(life.revoked_at);
  document.at("reason").get_to(life.reason);
  return entry;
}

}  // namespace

std::string to_document(const ImageEntry& entry) {
  const Image& image = entry.image;
  const Lifecycle& life = entry.life;
  json document{{"kiln", document_version},
                {"id", image.id},
                {"owner", entry.owner},
                {"name", image.name},
                {"version", image.version},
                {"content", "sha256:" + to_hex(image.content)},
                {"virtual_size", image.virtual_size},
                {"stored_bytes", image.stored_bytes},
                {"created", image.created},
                {"description", entry.description},
                {"tags", entry.tags},
                {"properties", entry.properties},
                {"parents", entry.parents},
                {"signatures", signatures_of(entry)},
                {"deprecated_at", life.deprecated_at},
                {"obsolete_at", life.obsolete_at},
                {"replacement", life.replacement},
                {"revoked_at", life.revoked_at},
                {"reason", life.reason},
                {"facts", image.facts}};
  if (!image.parts.empty()) document["kiln"] = version_with_parts, document["parts"] = parts_of(image);
  return document.dump(1, ' ', false, json::error_handler_t::replace);
}

ImageEntry from_document(std::string_view text) {
  try {
    return read(json::parse(text));
  } catch (const json::exception& error) {
    throw damaged(error.what());
  }
}

}  // namespace kiln

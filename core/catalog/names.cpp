#include "catalog/names.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace kiln {
namespace {

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

void require_name(std::string_view what, std::string_view text) {
  if (!text.empty() && text.size() <= 128 && text[0] != '.' && text[0] != '-' && std::ranges::all_of(text, allowed))
    return;
  throw invalid(std::string(what) + " \"" + std::string(text.substr(0, 140)) + "\" is not allowed",
                "use 1 to 128 letters, digits, \".\", \"_\" or \"-\", and begin with none of \".\" and \"-\"");
}

void require_text(std::string_view what, std::string_view text) {
  if (text.size() > text_limit)
    throw invalid(std::string(what) + " has " + std::to_string(text.size()) + " bytes, at most " +
                      std::to_string(text_limit) + " are kept",
                  "make it shorter");
  // PostgreSQL would refuse it, and nobody could write it into JSON.
  try {
    (void)nlohmann::json(text).dump();
  } catch (const nlohmann::json::type_error&) {
    throw invalid(std::string(what) + " is no UTF-8", "convert it, for example: iconv -f latin1 -t utf8");
  }
}

Error version_exists(const std::string& name, const std::string& version) {
  const std::string reference = name + ":" + version;
  return invalid(
      "image " + reference + " exists already",
      "a published image never changes: give another version, or remove it first: kiln image rm --now " + reference);
}

Error image_is_gone(const std::string& reference) {
  return invalid("image " + reference + " is not there any longer", "see which images there are: kiln image list");
}

Reference parse_reference(std::string_view text) {
  Reference out;
  const std::string given(text);
  if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
    out.owner = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  }
  const std::size_t colon = text.find(':');
  out.name = text.substr(0, colon);
  if (colon != std::string_view::npos) out.tag = text.substr(colon + 1);
  const bool lacks_owner = given.starts_with('/'), lacks_tag = colon + 1 == text.size();
  if (lacks_owner || lacks_tag || (out.name.empty() && !given.empty()))
    throw invalid("\"" + given + "\" names no image: there is nothing " +
                      (lacks_owner ? "before the \"/\""
                       : lacks_tag ? "after the \":\""
                                   : "where its name should be"),
                  "give NAME, NAME:VERSION or NAME:CHANNEL, after OWNER/ when it is another's");
  return out;
}

}  // namespace kiln

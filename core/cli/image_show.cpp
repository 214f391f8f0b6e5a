// kiln image show: all that is known of one image, its family included.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/life.h"
#include "cli/admission.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

struct Family {
  std::vector<std::pair<std::string, std::optional<ImageEntry>>> parents;  ///< by id; what is gone, or not to be seen
  Life::Descendants descendants;

  bool out_of_date(const ImageEntry& child) const {
    return std::ranges::find(descendants.out_of_date, child.image.id) != descendants.out_of_date.end();
  }
};

bool is_child(const ImageEntry& parent, const ImageEntry& descendant) {
  return std::ranges::find(descendant.parents, parent.image.id) != descendant.parents.end();
}

Family family_of(const CatalogView& view, const ImageEntry& entry) {
  Family family{{}, Life(view).descendants(entry.image.id)};
  for (const std::string& id : entry.parents) family.parents.emplace_back(id, view.find_id(id));
  return family;
}

using Signatures = std::vector<CheckedSignature>;

Json family_json(const ImageEntry& entry, const Family& family, const Signatures& signatures) {
  Json json = image_json(entry);
  json["source"] = source_json(entry);
  json["signatures"] = signatures_json(signatures);
  Json parents = Json::array(), children = Json::array(), descendants = Json::array();
  for (const auto& [id, parent] : family.parents)
    parents.push_back({{"id", id}, {"image", parent ? Json(full_reference(*parent)) : Json(nullptr)}});
  for (const ImageEntry& one : family.descendants.images) {
    descendants.push_back({{"id", one.image.id},
                           {"image", full_reference(one)},
                           {"state", to_text(one.state())},
                           {"out_of_date", family.out_of_date(one)}});
    if (is_child(entry, one)) children.push_back(descendants.back());
  }
  json["parents"] = parents;
  json["children"] = children;
  json["descendants"] = descendants;
  return json;
}

/// "2026-12-31T00:00:00Z", and that it is still to come.
std::string when(const Moment& moment) {
  return moment.empty() || moment <= now_moment() ? moment : moment + " (to come)";
}

void add_life(Rows& rows, const ImageEntry& entry) {
  const Lifecycle& life = entry.life;
  rows.emplace_back("deprecated", when(life.deprecated_at));
  rows.emplace_back("obsolete", when(life.obsolete_at));
  rows.emplace_back("replacement", life.replacement);
  rows.emplace_back("revoked", life.ancestor_revoked ? "with what it was built from" : when(life.revoked_at));
  rows.emplace_back("reason", life.reason);
  rows.emplace_back("in the trash", life.trashed_at);
  rows.emplace_back("removed for good", when(life.purge_at));
  rows.emplace_back("error", life.error);
}

Rows rows_of(const ImageEntry& entry, const Family& family, const Signatures& signatures) {
  const Image& image = entry.image;
  Rows rows = {{"image", entry.reference()},
               {"owner", entry.owner + (entry.is_public ? " (public)" : "")},
               {"made from", source_text(entry)},
               {"state", std::string(to_text(entry.state())) + (entry.is_protected ? ", protected" : "")},
               {"description", entry.description},
               {"id", image.id},
               {"channels", listed(entry.channels)},
               {"tags", listed(entry.tags)},
               {"content", image.content.is_zero_chunk() ? "" : "sha256:" + to_hex(image.content)},
               {"virtual size", format_bytes(image.virtual_size)},
               {"stored", format_bytes(image.stored_bytes)},
               {"created", fmt::format("{} ({} ago)", image.created, age_of(image.created))}};
  for (const ImagePart& part : image.parts)
    rows.emplace_back("part " + part.name, fmt::format("{}, {}, sha256:{}", part.role, format_bytes(part.virtual_size),
                                                       to_hex(part.content)));
  if (signatures.empty()) rows.emplace_back("signed by", "nobody");
  for (const CheckedSignature& one : signatures) rows.emplace_back("signed by", signature_text(one));
  add_life(rows, entry);
  for (const auto& [name, value] : entry.properties) rows.emplace_back("property " + name, value);
  for (const auto& [id, parent] : family.parents)
    rows.emplace_back("built from", parent ? full_reference(*parent) : id + " (not in the catalog any longer)");
  for (const ImageEntry& child : family.descendants.images)
    rows.emplace_back(is_child(entry, child) ? "child" : "descendant",
                      full_reference(child) + (family.out_of_date(child) ? " (out of date)" : ""));
  for (const auto& [name, value] : image.facts) rows.emplace_back(name, value);
  return rows;
}

}  // namespace

int run_image_show(Call& call) {
  const CatalogView view = call.services.catalog().view();
  const ImageEntry entry = view.resolve(call.args.text("IMAGE"), Action::see);
  const Family family = family_of(view, entry);
  const Signatures signatures = signatures_of(call.services.home(), view, entry);
  if (call.out.json()) {
    call.out.object(family_json(entry, family, signatures));
    return 0;
  }
  const Rows rows = rows_of(entry, family, signatures);
  std::size_t width = 0;
  for (const auto& [name, value] : rows)
    if (!value.empty()) width = std::max(width, width_of(printable(name)));
  for (const auto& [name, value] : rows)
    if (!value.empty()) call.out.line(fmt::format("{}  {}", pad(printable(name), width), printable(value)));
  return 0;
}

}  // namespace kiln::cli

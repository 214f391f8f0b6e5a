// kiln key new, list, trust, export, and kiln image sign: the keys that vouch for images.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/store.h"
#include "cli/admission.h"
#include "cli/image_answers.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

KeyRing ring_of(Call& call) {
  return KeyRing(call.services.home().keys());
}

Json key_json(const RingKey& key) {
  return {{"name", key.name}, {"id", key.key.id()}, {"own", key.is_own}};
}

/// The name of the key that --key or the configuration gives.
std::string signing_name(Call& call) {
  if (call.args.has("key")) return call.args.text("key");
  const std::string& name = call.services.config().signing_key;
  if (name.empty())
    throw invalid("it is not said with which key to sign",
                  "give --key NAME, or write signing_key = \"NAME\" into " + call.services.home().config().string());
  return name;
}

}  // namespace

int run_key_new(Call& call) {
  call.services.home().create();
  const RingKey key = ring_of(call).make(call.args.text("name", "default"));
  if (call.out.json())
    call.out.object(key_json(key));
  else
    call.out.line(fmt::format("key {}  {}; sign all that you publish with it: signing_key = \"{}\" in {}", key.name,
                              key.key.id(), key.name, call.services.home().config().string()));
  return 0;
}

int run_key_list(Call& call) {
  const std::vector<RingKey> keys = ring_of(call).keys();
  if (call.out.json()) {
    Json all = Json::array();
    for (const RingKey& key : keys) all.push_back(key_json(key));
    call.out.object({{"keys", all}});
    return 0;
  }
  TextTable table{{"NAME", "WHOSE", "ID"}};
  for (const RingKey& key : keys) table.rows.push_back({key.name, key.is_own ? "own" : "trusted", key.key.id()});
  call.out.table(table);
  return 0;
}

int run_key_trust(Call& call) {
  if (!call.args.has("name")) throw invalid("kiln key trust: --name is missing", "kiln key trust FILE --name NAME");
  call.services.home().create();
  const RingKey key = ring_of(call).trust(call.args.text("FILE"), call.args.text("name"));
  if (call.out.json())
    call.out.object(key_json(key));
  else
    call.out.line(fmt::format("key {}  {}; is that what its owner says it is?", key.name, key.key.id()));
  return 0;
}

int run_key_export(Call& call) {
  const RingKey key = ring_of(call).get(call.args.text("NAME"));
  if (call.out.json()) {
    Json json = key_json(key);
    json["pem"] = key.key.pem();
    call.out.object(json);
  } else {
    call.out.raw(key.key.pem());
  }
  return 0;
}

int run_image_sign(Call& call) {
  const CatalogView view = call.services.catalog().view();
  const ImageEntry entry = view.resolve(call.args.text("IMAGE"), Action::change);
  const std::string name = signing_name(call);
  const SigningKey key = ring_of(call).signing_key(name);
  view.store().signatures.put(entry.image.id, sign_image(entry.image, entry.owner, key));
  answer_image(call.out, entry, fmt::format("{} is signed by {}", full_reference(entry), name));
  return 0;
}

}  // namespace kiln::cli

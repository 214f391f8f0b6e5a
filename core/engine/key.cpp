#include "engine/key.h"

#include <algorithm>

#include <kiln/hash.h>

#include "engine/guarded.h"

namespace kiln::engine {
namespace {

/// Values as the key sees them.
class Keyed {
 public:
  explicit Keyed(InputDigests& inputs) : inputs_(inputs) {}

  Table table(const Table& given, const std::vector<Param>& params) {
    Table out;
    for (const Param& param : params) {
      const auto it = given.find(param.name);
      const Value& value = it != given.end() ? it->second : param.fallback;
      out.emplace(param.name, param.type.list ? list(value, param) : one(value, param));
    }
    return out;
  }

 private:
  Value list(const Value& value, const Param& param) {
    const auto* items = std::get_if<List>(&value.v);
    if (items == nullptr) return value;
    List out;
    for (const Value& item : *items) out.push_back(one(item, param));
    return Value{std::move(out)};
  }

  Value one(const Value& value, const Param& param) {
    if (param.secret && value == param.fallback) return Value{"sha256:" + to_hex(sha256(canonical(value)))};
    if (param.secret) return Value{"sha256:" + inputs_.digest_secret(canonical(value))};
    if (const auto* input = std::get_if<InputPath>(&value.v))
      return input->path.empty() ? Value{std::string()} : Value{"sha256:" + inputs_.digest(input->path)};
    if (param.type.kind == Kind::record)
      if (const auto* fields = std::get_if<Table>(&value.v)) return Value{table(*fields, param.type.fields)};
    return value;
  }

  InputDigests& inputs_;
};

void flatten(const std::string& name, const Value& value, std::vector<KeyPart>& into) {
  if (const auto* list = std::get_if<List>(&value.v)) {
    for (std::size_t i = 0; i < list->size(); ++i) flatten(name + '[' + std::to_string(i) + ']', (*list)[i], into);
  } else if (const auto* table = std::get_if<Table>(&value.v)) {
    for (const auto& [key, item] : *table) flatten(name.empty() ? key : name + '.' + key, item, into);
  } else {
    std::string text = canonical(value);
    // Long texts, such as a script, are compared by digest: records stay small.
    if (text.size() > 200) text = "sha256:" + to_hex(sha256(text));
    into.push_back({name, std::move(text)});
  }
}

std::string shorten(std::string text) {
  if (text.size() <= 60) return text;
  text.resize(57);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0) text.pop_back();
  return text + "…";
}

}  // namespace

Key stage_key(std::string_view before, const Stage& stage, const Table& params, InputDigests& inputs,
              std::string_view account) {
  const About& about = stage.about();
  const Table keyed = Keyed(inputs).table(params, about.params);
  const std::string fingerprint = guarded(about.name, [&] { return stage.fingerprint_with(params); });
  const std::string revision = std::to_string(about.revision);

  Key key;
  Hasher hasher;
  hasher.update("kiln-key-1\n").update(before).update("\n").update(about.name).update("\n").update(revision);
  hasher.update("\n").update(canonical(Value{keyed})).update("\n").update(fingerprint);
  if (!account.empty()) hasher.update("\n").update(account);
  key.hex = hasher.hex();
  key.parts = {{"stage", about.name}, {"revision", revision}};
  flatten("", Value{keyed}, key.parts);
  if (!fingerprint.empty()) key.parts.push_back({"fingerprint", fingerprint});
  if (!account.empty()) key.parts.push_back({"account", canonical(Value{std::string(account)})});
  return key;
}

std::string_view account_in_key(const Stage& stage, std::string_view account) {
  return stage.role() == Role::sink ? account : std::string_view();
}

std::string content_key(const Digest& content) {
  return to_hex(sha256("kiln-content\n" + to_hex(content)));
}

std::string renewed_key(const std::string& key, const std::string& nonce) {
  return nonce.empty() ? key : to_hex(sha256("kiln-again\n" + key + "\n" + nonce));
}

std::optional<std::string> first_difference(const std::vector<KeyPart>& old_parts,
                                            const std::vector<KeyPart>& new_parts) {
  for (const KeyPart& part : new_parts) {
    const auto it = std::ranges::find(old_parts, part.name, &KeyPart::name);
    if (it == old_parts.end()) return part.name + " is new: " + shorten(part.text);
    if (it->text != part.text) return part.name + " changed: " + shorten(it->text) + " → " + shorten(part.text);
  }
  for (const KeyPart& part : old_parts)
    if (std::ranges::find(new_parts, part.name, &KeyPart::name) == new_parts.end())
      return part.name + " is gone: it was " + shorten(part.text);
  return std::nullopt;
}

}  // namespace kiln::engine

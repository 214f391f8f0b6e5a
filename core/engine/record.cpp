#include "engine/record.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

#include <kiln/file.h>

namespace kiln::engine {

using Json = nlohmann::ordered_json;

std::optional<Record> read_record(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return std::nullopt;
  try {
    const Json json = Json::parse(read_text(file));
    Record r;
    r.stage = json.at("stage");
    r.key = json.at("key");
    for (const Json& part : json.at("parts")) r.parts.push_back({part.at(0), part.at(1)});
    r.summary = json.at("summary");
    for (const auto& [name, value] : json.at("facts").items()) r.facts.emplace(name, value.get<std::string>());
    r.elapsed = Duration(json.at("elapsed_ms").get<std::int64_t>());
    r.created = Clock::time_point(std::chrono::seconds(json.at("created").get<std::int64_t>()));
    if (json.contains("content")) r.content = parse_digest(json.at("content").get<std::string>());
    r.parent = json.value("parent", "");
    if (json.contains("parent_content")) r.parent_content = parse_digest(json.at("parent_content").get<std::string>());
    r.size = json.value("size", std::uint64_t{0});
    return r;
  } catch (const std::exception&) {  // damaged, or of another version: the stage runs again
    return std::nullopt;
  }
}

void write_record(const std::filesystem::path& file, const Record& r, bool durable) {
  Json json{{"stage", r.stage}, {"key", r.key}, {"parts", Json::array()}, {"summary", r.summary}};
  for (const KeyPart& part : r.parts) json["parts"].push_back({part.name, part.text});
  json["facts"] = Json::object();
  for (const auto& [name, value] : r.facts) json["facts"][name] = value;
  json["elapsed_ms"] = r.elapsed.count();
  json["created"] = std::chrono::duration_cast<std::chrono::seconds>(r.created.time_since_epoch()).count();
  if (r.content) json["content"] = to_hex(*r.content);
  if (!r.parent.empty()) json["parent"] = r.parent;
  if (r.parent_content) json["parent_content"] = to_hex(*r.parent_content);
  if (r.size != 0) json["size"] = r.size;
  write_text(file, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n", durable);
}

std::string ago(Clock::time_point then, Clock::time_point now) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(now - then).count();
  if (minutes < 1) return "just now";
  if (minutes < 120) return fmt::format("{} min ago", minutes);
  if (minutes < 48 * 60) return fmt::format("{} h ago", minutes / 60);
  return fmt::format("{} d ago", minutes / (24 * 60));
}

std::string to_iso(Clock::time_point when) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(Clock::to_time_t(when)));
}

}  // namespace kiln::engine

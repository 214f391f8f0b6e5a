#include "catalog/region/bucket_usage.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <nlohmann/json.hpp>

#include <kiln/endian.h>

#include "catalog/usage_meter.h"

namespace kiln {
namespace {

using nlohmann::json;

constexpr int record_version = 1, version_with_parts = 2;
constexpr std::size_t weight_size = 40, weights_limit = 1u << 30;
/// By which the clocks of a host and of the object store may differ.
constexpr std::chrono::hours clock_difference{24};

/// From when to when a disk of an image was there. `removed` is empty as long as it is.
struct Stay {
  std::string id, owner;
  Digest content;
  std::uint64_t virtual_size = 0;
  Moment created, removed;
  bool is_part = false;
};

/// An image that is removed and copied there again has been there twice.
std::string removal_key(const std::string& id, const Moment& created) {
  return "usage/" + id + "." + std::to_string(unix_time(created)) + ".json";
}

std::string weights_key(const Digest& content) {
  return "weights/" + to_hex(content);
}

void add_parts(std::vector<Stay>& stays, const std::vector<ImagePart>& parts) {
  for (const ImagePart& part : parts) {
    Stay& stay = stays.emplace_back(stays.front());
    stay.content = part.content;
    stay.virtual_size = part.virtual_size;
    stay.is_part = true;
  }
}

std::vector<ImagePart> parts_in(const json& record) {
  std::vector<ImagePart> out;
  if (record.at("kiln") != version_with_parts) return out;
  for (const json& part : record.at("parts")) {
    const auto content = parse_digest(part.at("content").get<std::string>());
    if (!content) throw Error("the content of a part is none");
    out.push_back({"", "", *content, part.at("virtual_size")});
  }
  return out;
}

/// Of the image's disks, the system disk first.
std::vector<Stay> removed_stays(const BucketObjects& objects, const std::string& key) {
  const auto body = objects.bucket().get(key, BucketObjects::document_limit);
  try {
    if (!body) throw Error("it is not there");
    const json record = json::parse(reinterpret_cast<const char*>(body->data()),
                                    reinterpret_cast<const char*>(body->data() + body->size()));
    Stay stay{record.at("id"),           record.at("owner"),   {},
              record.at("virtual_size"), record.at("created"), record.at("removed")};
    const auto content = parse_digest(record.at("content").get<std::string>());
    if (!content || removal_key(stay.id, stay.created) != key) throw Error("it tells of another image");
    stay.content = *content;
    stay.removed = moment_at(std::max(unix_time(stay.removed), unix_time(stay.created)));
    std::vector<Stay> out{stay};
    add_parts(out, parts_in(record));
    return out;
  } catch (const std::exception& error) {
    throw Error("a record of usage in region \"" + objects.region() + "\" is damaged",
                "remove it: the time of one image will then be missing",
                {objects.bucket().url() + "/" + key + ": " + error.what()});
  }
}

/// Those that are there, and those that were removed since `from`.
std::vector<Stay> stays_since(const BucketObjects& objects, const Moment& from) {
  std::vector<Stay> out;
  std::set<std::string> present;
  for (const ImageEntry& entry : objects.images("")) {
    const Image& image = entry.image;
    std::vector<Stay> stays{{image.id, entry.owner, image.content, image.virtual_size, image.created, ""}};
    add_parts(stays, image.parts);
    std::ranges::move(stays, std::back_inserter(out));
    present.insert(removal_key(image.id, image.created));
  }
  std::vector<std::string> keys;
  for (const s3::Listed& record : objects.bucket().list_objects("usage/"))
    if (later(record.modified, clock_difference) >= from && !present.contains(record.key)) keys.push_back(record.key);
  std::vector<std::vector<Stay>> removed(keys.size());
  BucketObjects::for_each(keys.size(), [&](std::size_t i) { removed[i] = removed_stays(objects, keys[i]); });
  for (std::vector<Stay>& stays : removed) std::ranges::move(stays, std::back_inserter(out));
  return out;
}

UsageRecords::Pending changes_of(const std::string& region, const std::vector<Stay>& stays) {
  UsageRecords::Pending out;
  std::map<std::tuple<std::string, Digest, bool>, Holding> holdings;
  for (const Stay& stay : stays) {
    const StoredChange came{0, stay.created, region, stay.owner, stay.content, stay.virtual_size, true, stay.is_part};
    out.changes.push_back(came);
    if (stay.removed.empty()) {
      Holding& holding = holdings[{stay.owner, stay.content, stay.is_part}];
      holding = {region, stay.owner, stay.content, stay.virtual_size, holding.images + 1, stay.is_part};
      continue;
    }
    out.changes.push_back(came);
    out.changes.back().added = false;
    out.changes.back().moment = stay.removed;
  }
  std::ranges::stable_sort(out.changes, {}, &StoredChange::moment);
  for (auto& [key, holding] : holdings) out.holdings.push_back(std::move(holding));
  return out;
}

/// Of the chunks that the bucket lists, and of those that were collected since.
class BucketWeights final : public ChunkWeights {
 public:
  BucketWeights(const BucketObjects& objects, const std::vector<Stay>& stays) {
    for (const s3::Listed& chunk : objects.bucket().list_objects("chunks/"))
      if (const auto digest = parse_digest(chunk.key.substr(chunk.key.rfind('/') + 1))) add(*digest, chunk.bytes);
    const std::set<Digest> manifests = objects.manifests();
    for (const Stay& stay : stays)
      if (const auto [it, is_new] = chunks_.try_emplace(stay.content); is_new)
        it->second = chunks_in(objects, stay.content, manifests.contains(stay.content));
  }

  std::size_t count() const override { return weights_.size(); }
  std::optional<Weight> find(const Digest& digest) const override {
    const auto found = weights_.find(digest);
    return found == weights_.end() ? std::nullopt : std::optional(found->second);
  }
  const std::vector<Digest>& chunks_of(const Digest& content) const { return chunks_.at(content); }

 private:
  void add(const Digest& digest, std::uint64_t bytes) { weights_.try_emplace(digest, Weight{weights_.size(), bytes}); }

  std::vector<Digest> chunks_in(const BucketObjects& objects, const Digest& content, bool listed) {
    std::vector<Digest> out;
    if (listed) try {
        const Manifest manifest = objects.manifest(content);
        for (const Manifest::Entry& entry : manifest.entries()) out.push_back(entry.digest);
        return out;
      } catch (const Error&) {
        // collected since it was listed; or damaged, and nobody pays for what is damaged
      }
    const auto body = objects.bucket().get(weights_key(content), weights_limit);
    if (!body) return out;  // nobody knows what is lost
    for (std::span<const std::byte> rest(*body); rest.size() >= weight_size; rest = rest.subspan(weight_size)) {
      std::ranges::copy(rest.first(32), out.emplace_back().bytes.begin());
      add(out.back(), get_le<std::uint64_t>(rest, 32));
    }
    return out;
  }

  std::unordered_map<Digest, Weight> weights_;
  std::unordered_map<Digest, std::vector<Digest>> chunks_;
};

}  // namespace

void record_removal(const BucketObjects& objects, const ImageEntry& entry, const Moment& removed) {
  const Image& image = entry.image;
  json record{{"kiln", record_version},
              {"id", image.id},
              {"owner", entry.owner},
              {"name", image.name},
              {"version", image.version},
              {"content", "sha256:" + to_hex(image.content)},
              {"virtual_size", image.virtual_size},
              {"created", image.created},
              {"removed", removed}};
  if (!image.parts.empty()) record["kiln"] = version_with_parts;
  for (const ImagePart& part : image.parts)
    record["parts"].push_back({{"content", "sha256:" + to_hex(part.content)}, {"virtual_size", part.virtual_size}});
  const std::string text = record.dump(1, ' ', false, json::error_handler_t::replace);
  objects.bucket().put(removal_key(image.id, image.created), std::as_bytes(std::span(text)));
}

void record_weights(const BucketObjects& objects, const Manifest& manifest, const ChunkSizes& sizes) {
  std::set<Digest> distinct;
  for (const Manifest::Entry& entry : manifest.entries())
    if (sizes.contains(entry.digest)) distinct.insert(entry.digest);
  std::vector<std::byte> body(distinct.size() * weight_size);
  std::span<std::byte> rest(body);
  for (const Digest& digest : distinct) {
    std::ranges::copy(digest.bytes, rest.begin());
    put_le<std::uint64_t>(rest, 32, sizes.at(digest));
    rest = rest.subspan(weight_size);
  }
  objects.bucket().put(weights_key(manifest.content()), body);
}

std::vector<UsageSample> bucket_usage(const BucketObjects& objects, const Moment& from) {
  const std::vector<Stay> stays = stays_since(objects, from);
  const BucketWeights weights(objects, stays);
  return steps_of(objects.region(), changes_of(objects.region(), stays), weights,
                  [&](const Digest& content) -> const std::vector<Digest>& { return weights.chunks_of(content); });
}

}  // namespace kiln

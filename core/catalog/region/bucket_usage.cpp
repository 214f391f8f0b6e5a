#include "catalog/region/bucket_usage.h"

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using nlohmann::json;

constexpr int record_version = 1;

/// An image that is removed and copied there again has been there twice.
std::string removal_key(const ImageEntry& entry) {
  return "usage/" + entry.image.id + "." + std::to_string(unix_time(entry.image.created)) + ".json";
}

}  // namespace

void record_removal(const BucketObjects& objects, const ImageEntry& entry, const Moment& removed) {
  const Image& image = entry.image;
  const json record{{"kiln", record_version},
                    {"id", image.id},
                    {"owner", entry.owner},
                    {"name", image.name},
                    {"version", image.version},
                    {"content", "sha256:" + to_hex(image.content)},
                    {"virtual_size", image.virtual_size},
                    {"created", image.created},
                    {"removed", removed}};
  const std::string text = record.dump(1, ' ', false, json::error_handler_t::replace);
  objects.bucket().put(removal_key(entry), std::as_bytes(std::span(text)));
}

}  // namespace kiln

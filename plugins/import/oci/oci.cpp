#include "oci/oci.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include <kiln/hash.h>
#include <kiln/text.h>
#include <kiln/value.h>

#include "oci/oci_blobs.h"
#include "oci/oci_disk.h"

namespace kiln::import {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* manifest_type = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* config_type = "application/vnd.kiln.image.v1+json";
constexpr const char* index_type = "application/vnd.kiln.disk.index.v1";
constexpr const char* chunks_type = "application/vnd.kiln.disk.chunks.v1";
constexpr const char* ref_name = "org.opencontainers.image.ref.name";
constexpr const char* get_another = "get a complete copy of the layout from whoever made it";
// 56 bytes for each chunk of data: enough for 290 GiB of it.
constexpr std::uint64_t most_index = 256u << 20;
constexpr std::size_t most_facts = 256, longest_name = 64, longest_value = 1024;

/// The manifests that the index names, each with its tag.
struct Candidate {
  std::string tag;
  Descriptor manifest;
};

std::vector<Candidate> candidates(const Blobs& blobs) {
  const std::string where = (blobs.folder() / "index.json").string();
  const json version = blobs.document("oci-layout");
  if (text_member(version, "imageLayoutVersion", "oci-layout") != "1.0.0")
    throw invalid(blobs.folder().string() + " is an OCI image layout of another version than 1.0.0",
                  "copy it with a program that knows both, such as skopeo");
  const json index = blobs.document("index.json");
  const json& list = member(index, "manifests", where);
  if (!list.is_array()) throw Error(where + ": \"manifests\" is no list", get_another);
  std::vector<Candidate> all;
  for (const json& one : list) all.push_back({annotation(one, ref_name), descriptor_of(one, where)});
  return all;
}

std::string listed(const std::vector<Candidate>& all) {
  std::string text;
  for (std::size_t i = 0; i < all.size() && i < 10; ++i)
    text += (i == 0 ? "" : ", ") + (all[i].tag.empty() ? "(no tag)" : printable(all[i].tag, 80));
  return text + (all.size() > 10 ? ", …" : "");
}

Candidate choose(const Blobs& blobs, const std::string& tag) {
  std::vector<Candidate> all = candidates(blobs), fitting;
  const std::string folder = blobs.folder().string();
  for (const Candidate& one : all)
    if (tag.empty() || one.tag == tag) fitting.push_back(one);
  if (fitting.empty() && tag.empty()) throw invalid(folder + " holds no image", "is it the right folder?");
  if (fitting.empty())
    throw invalid(folder + " holds no image with the tag " + printable(tag, 80), "it has " + listed(all));
  if (fitting.size() > 1 && tag.empty())
    throw invalid(folder + " holds " + std::to_string(fitting.size()) + " images",
                  "say which with its tag: " + listed(fitting));
  if (fitting.size() > 1)
    throw refused(folder + " has the tag " + printable(tag, 80) + " twice", "ask whoever made it which one is meant");
  if (fitting.front().manifest.media_type != manifest_type)
    throw invalid(
        folder + ": what is tagged is no image manifest but " + printable(fitting.front().manifest.media_type, 100),
        "kiln reads the layouts that kiln image export --oci makes");
  return fitting.front();
}

/// What the manifest is made of, as far as kiln knows it.
struct Parts {
  Descriptor config, index;
  std::vector<Descriptor> groups;
};

Parts parts_of(const json& manifest, const std::string& folder) {
  const std::string where = "the image's manifest";
  Parts parts;
  parts.config = descriptor_of(member(manifest, "config", where), where);
  if (parts.config.media_type != config_type)
    throw invalid(folder + " holds a container's image, no disk",
                  "kiln reads the layouts that kiln image export --oci makes",
                  {"its configuration is " + printable(parts.config.media_type, 100)});
  const json& layers = member(manifest, "layers", where);
  if (!layers.is_array()) throw Error(where + ": \"layers\" is no list", get_another);
  std::set<Digest> seen;
  bool indexed = false;
  for (const json& layer : layers) {
    const Descriptor blob = descriptor_of(layer, where);
    // The specification tells readers to pass over types that they do not know.
    if (blob.media_type != index_type && blob.media_type != chunks_type) continue;
    if (!seen.insert(blob.digest).second)
      throw Error(where + " has a layer twice", get_another, {"sha256:" + to_hex(blob.digest)});
    if (blob.media_type == chunks_type) {
      parts.groups.push_back(blob);
    } else {
      if (indexed) throw Error(where + " has two indexes of chunks", get_another);
      parts.index = blob;
      indexed = true;
    }
  }
  if (!indexed) throw Error(where + " has no index of chunks", get_another);
  return parts;
}

bool is_fact_name(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= longest_name && std::ranges::all_of(name, fits);
}

/// What describes the content keeps its name. Everything else is a claim about another catalog and is kept as such, so
/// that it can never pass for something that this kiln found out.
Facts facts_of(const json& config) {
  const json& given = member(member(config, "kiln", "the image's configuration"), "facts", "the image's configuration");
  if (!given.is_object() || given.size() > most_facts)
    throw Error("the image's configuration has no facts that can be read", get_another);
  Facts facts;
  for (const auto& [name, value] : given.items()) {
    if (!is_fact_name(name) || !value.is_string())
      throw Error("the image's configuration has a fact that cannot be read", get_another, {printable(name, 80)});
    const std::string text = printable(value.get<std::string>(), longest_value);
    const bool describes = name == "arch" || name.starts_with("os.") || name.starts_with("boot.") ||
                           name.starts_with("disk.") || name.starts_with("origin.");
    if (describes) facts[name] = text;
  }
  for (const auto& [name, value] : given.items()) {
    const std::string bare = name.starts_with("source.") ? name.substr(7) : name;
    if (!facts.contains(name)) facts.try_emplace("origin." + bare, printable(value.get<std::string>(), longest_value));
  }
  return facts;
}

void verify(const Blobs& blobs, const Parts& parts, std::uint64_t total,
            const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  std::uint64_t done = 0;
  for (const Descriptor& group : parts.groups)
    blobs.verify(group, [&](std::uint64_t bytes) { progress(done += bytes, total); });
}

std::uint64_t size_of(const std::vector<Descriptor>& groups) {
  std::uint64_t total = 0;
  for (const Descriptor& group : groups) {
    // So that the sum cannot overflow: offsets in a blob have 32 bits.
    if (group.size == 0 || group.size > std::uint64_t{1} << 32)
      throw Error("a blob of chunks has an impossible size", get_another, {std::to_string(group.size) + " bytes"});
    total += group.size;
  }
  return total;
}

/// The image says its content in two places; a copy in which they differ was patched together.
void compare(const OciIndex& index, const json& config, const json& manifest) {
  const json& kiln = member(config, "kiln", "the image's configuration");
  const std::string content = "sha256:" + to_hex(index.content);
  if (text_member(kiln, "content", "the image's configuration") != content ||
      number_member(kiln, "virtual_size", "the image's configuration") != index.disk_size ||
      annotation(manifest, "vnd.kiln.disk.content") != content ||
      annotation(manifest, "vnd.kiln.disk.size") != std::to_string(index.disk_size))
    throw Error("the image's index is of another disk than its configuration and its manifest", get_another,
                {"the index is of " + content});
}

}  // namespace

bool is_oci_layout(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder, ignored) && fs::exists(folder / "oci-layout", ignored) &&
         fs::exists(folder / "index.json", ignored);
}

std::string oci_fingerprint(const fs::path& folder, const std::string& tag) {
  return "oci " + tag + " " + to_hex(sha256(read_text(folder / "index.json")));
}

OciDisk open_oci(const fs::path& folder, const std::string& tag,
                 const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const Blobs blobs(folder);
  const Candidate chosen = choose(blobs, tag);
  const json manifest = blobs.document(chosen.manifest);
  const Parts parts = parts_of(manifest, folder.string());
  const json config = blobs.document(parts.config);
  OciDisk out;
  out.tag = printable(chosen.tag, 200);
  out.facts = facts_of(config);
  out.facts["origin.name"] = printable(text_member(config["kiln"], "name", "the image's configuration"), 200);
  out.facts["origin.version"] = printable(text_member(config["kiln"], "version", "the image's configuration"), 200);
  const std::uint64_t chunks = size_of(parts.groups);
  OciIndex index = parse_oci_index(blobs.whole(parts.index, most_index), parts.groups);
  compare(index, config, manifest);
  verify(blobs, parts, chunks, progress);
  out.content = index.content;
  out.stored = chunks + parts.index.size + parts.config.size + chosen.manifest.size;
  out.disk = open_oci_disk(blobs, parts.groups, std::move(index));
  return out;
}

}  // namespace kiln::import

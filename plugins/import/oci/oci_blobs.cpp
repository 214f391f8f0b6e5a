#include "oci/oci_blobs.h"

#include <algorithm>
#include <set>

#include <kiln/hash.h>
#include <kiln/text.h>
#include <kiln/value.h>

namespace kiln::import {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What containers' own programs read of a manifest.
constexpr std::uint64_t most_json = 4u << 20;
constexpr std::size_t most_levels = 16;
constexpr const char* get_another = "get a complete copy of the layout from whoever made it";

std::string sha_text(const Digest& digest) {
  return "sha256:" + to_hex(digest);
}

/// A link or a device where a file belongs is no damage: somebody made it.
File open_real(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) throw Error(path.string() + " is missing", get_another);
  if (status.type() != fs::file_type::regular)
    throw refused(path.string() + " is not a regular file",
                  "a layout holds files only; ask whoever made it what this is for");
  return File::open_read(path);
}

void require_real_folder(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) throw Error(path.string() + " is missing", get_another);
  if (status.type() != fs::file_type::directory)
    throw refused(path.string() + " is not a folder",
                  "a layout leads nowhere else; ask whoever made it what this is for");
}

}  // namespace

json strict_json(std::string_view text, const std::string& where) try {
  std::vector<std::set<std::string>> names;
  const auto look = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > static_cast<int>(most_levels)) throw Error(where + " is nested too deeply", get_another);
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end) names.pop_back();
    if (event == json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second)
      throw Error(where + " has a name twice in one object", get_another,
                  {'"' + printable(parsed.get<std::string>(), 80) + '"'});
    return true;
  };
  return json::parse(text, look);
} catch (const json::exception& error) {
  throw Error(where + " is no JSON", get_another, {printable(error.what(), 200)});
}

const json& member(const json& object, const char* name, const std::string& where) {
  if (!object.is_object() || !object.contains(name)) throw Error(where + " has no \"" + name + '"', get_another);
  return object[name];
}

std::string text_member(const json& object, const char* name, const std::string& where) {
  const json& value = member(object, name, where);
  if (!value.is_string()) throw Error(where + ": \"" + name + "\" is no text", get_another);
  return value.get<std::string>();
}

std::uint64_t number_member(const json& object, const char* name, const std::string& where) {
  const json& value = member(object, name, where);
  if (!value.is_number_unsigned()) throw Error(where + ": \"" + name + "\" is no whole number", get_another);
  return value.get<std::uint64_t>();
}

Descriptor descriptor_of(const json& value, const std::string& where) {
  const std::string text = text_member(value, "digest", where);
  const auto digest = text.starts_with("sha256:") ? parse_digest(text) : std::nullopt;
  if (!digest)
    throw Error(where + ": the digest is no sha256 of 64 hexadecimal digits", get_another, {printable(text, 100)});
  return {text_member(value, "mediaType", where), *digest, number_member(value, "size", where)};
}

std::string annotation(const json& object, const char* name) {
  if (!object.is_object() || !object.contains("annotations")) return "";
  const json& all = object["annotations"];
  if (!all.is_object() || !all.contains(name) || !all[name].is_string()) return "";
  return all[name].get<std::string>();
}

json Blobs::document(const char* name) const {
  const File file = open_real(folder_ / name);
  const std::uint64_t size = file.size();
  if (size > most_json)
    throw Error(file.path().string() + " has more than " + format_bytes(most_json), "is it the right folder?");
  std::string text(size, '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return strict_json(text, file.path().string());
}

json Blobs::document(const Descriptor& blob) const {
  const std::vector<std::byte> bytes = whole(blob, most_json);
  return strict_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "blob " + sha_text(blob.digest));
}

std::vector<std::byte> Blobs::whole(const Descriptor& blob, std::uint64_t limit) const {
  if (blob.size > limit)
    throw Error("blob " + sha_text(blob.digest) + " has " + format_bytes(blob.size) + ", more than the " +
                    format_bytes(limit) + " that are read of such a blob",
                get_another);
  const File file = open(blob);
  std::vector<std::byte> bytes(blob.size);
  file.read_at(0, bytes);
  if (sha256(bytes) != blob.digest)
    throw Error("blob " + sha_text(blob.digest) + " is damaged: its sha256 is another", get_another);
  return bytes;
}

File Blobs::open(const Descriptor& blob) const {
  require_real_folder(folder_ / "blobs");
  require_real_folder(folder_ / "blobs/sha256");
  File file = open_real(folder_ / "blobs/sha256" / to_hex(blob.digest));
  if (const std::uint64_t size = file.size(); size != blob.size)
    throw Error("blob " + sha_text(blob.digest) + " is damaged: its size is another", get_another,
                {"its descriptor says " + std::to_string(blob.size) + " bytes, the file has " + std::to_string(size)});
  return file;
}

void Blobs::verify(const Descriptor& blob, const std::function<void(std::uint64_t)>& progress) const {
  const File file = open(blob);
  Hasher hasher;
  std::vector<std::byte> buffer(1 << 20);
  for (std::uint64_t at = 0; at < blob.size;) {
    const auto part = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), blob.size - at));
    file.read_at(at, part);
    hasher.update(part);
    at += part.size();
    progress(part.size());
  }
  if (hasher.digest() != blob.digest)
    throw Error("blob " + sha_text(blob.digest) + " is damaged: its sha256 is another", get_another);
}

}  // namespace kiln::import

#include "catalog/oci_layout.h"

#include <system_error>
#include <utility>

#include <kiln/file.h>
#include <kiln/hash.h>
#include <kiln/text.h>

namespace kiln {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view version_text = R"({"imageLayoutVersion":"1.0.0"})";
constexpr const char* ref_name = "org.opencontainers.image.ref.name";
// What containers' own programs read of a manifest; an index has one line for each.
constexpr std::uint64_t most_json = 4u << 20;

fs::path cleaned(const fs::path& folder) {
  const fs::path whole = fs::absolute(folder).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

/// Names lead where they seem to lead: a layout of strangers must not send our writes elsewhere.
void require_real(const fs::path& path, fs::file_type type) {
  if (fs::symlink_status(path).type() != type)
    throw refused(path.string() + " is not what an OCI image layout has there",
                  "export to a new folder, and ask whoever made this one");
}

json parse(const fs::path& file) try {
  json parsed = json::parse(read_text(file, most_json));
  return parsed;
} catch (const json::exception& error) {
  throw Error(file.string() + " is no JSON", "export to a new folder", {printable(error.what(), 200)});
}

}  // namespace

std::string canonical_json(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

OciLayout::OciLayout(const fs::path& folder) : target_(cleaned(folder)), work_(target_) {
  std::error_code unknown;
  const fs::file_status status = fs::status(target_, unknown);
  if (fs::exists(status) && !fs::is_directory(status))
    throw invalid(target_.string() + " is not a folder", "give a new folder, or an OCI image layout to add to");
  try {
    if (!fs::exists(status) || fs::is_empty(target_))
      begin_new();
    else
      open_existing();
  } catch (const fs::filesystem_error& error) {
    throw system_error("cannot use " + error.path1().string(), error.code().value());
  }
}

OciLayout::~OciLayout() {
  if (committed_) return;
  std::error_code ignored;
  if (work_ != target_) fs::remove_all(work_, ignored);
  for (const fs::path& file : written_) fs::remove(file, ignored);
}

void OciLayout::begin_new() {
  const fs::path work = target_.parent_path() / ("." + target_.filename().string() + ".kiln-oci");
  fs::create_directories(work);
  const fs::path mark = work / "oci-layout";
  // Made by File and not by the lock, so that whoever carries the folder on can read it.
  if (!fs::exists(mark)) File::create(mark);
  lock_ = FileLock::try_exclusive(mark);
  if (!lock_)
    throw Error("another kiln is making " + target_.string(), "wait until it is done, then export again to add to it");
  work_ = work;
  // Left by one that was killed: with the lock in hand it is nobody's.
  fs::remove_all(work_ / "blobs");
  fs::remove(work_ / "index.json");
  fs::create_directories(work_ / "blobs/sha256");
  File file = File::open_write(mark);
  file.truncate(0);
  file.write_at(0, std::as_bytes(std::span(version_text)));
  file.sync();
  index_ = {
      {"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.index.v1+json"}, {"manifests", json::array()}};
}

void OciLayout::open_existing() {
  if (!fs::exists(target_ / "oci-layout") || !fs::exists(target_ / "index.json"))
    throw invalid(target_.string() + " has other things in it", "give a new folder, or an OCI image layout to add to");
  require_real(target_ / "oci-layout", fs::file_type::regular);
  require_real(target_ / "index.json", fs::file_type::regular);
  for (const char* folder : {"blobs", "blobs/sha256"}) {  // never through a link to elsewhere
    fs::create_directory(target_ / folder);
    require_real(target_ / folder, fs::file_type::directory);
  }
  lock_ = FileLock::exclusive(target_ / "oci-layout");
  const json version = parse(target_ / "oci-layout");
  if (!version.is_object() || version.value("imageLayoutVersion", json()) != "1.0.0")
    throw invalid(target_.string() + " is no OCI image layout of version 1.0.0", "export to a new folder");
  index_ = parse(target_ / "index.json");
  if (!index_.is_object() || !index_.contains("manifests") || !index_["manifests"].is_array())
    throw Error((target_ / "index.json").string() + " has no list of manifests", "export to a new folder");
  remove_abandoned();
}

void OciLayout::remove_abandoned() const {
  // With the lock in hand, what another kiln has begun to write is nobody's.
  for (const fs::directory_entry& entry : fs::directory_iterator(target_ / "blobs/sha256")) {
    const std::string name = entry.path().filename().string();
    const bool ours = name.size() > 71 && name.front() == '.' && name.substr(65, 6) == ".kiln-" &&
                      parse_digest(std::string_view(name).substr(1, 64));
    if (ours && entry.is_regular_file()) fs::remove(entry.path());
  }
}

fs::path OciLayout::blob(const Digest& digest) const {
  return work_ / "blobs/sha256" / to_hex(digest);
}

bool OciLayout::is_tagged(const json& descriptor, const std::string& tag) const {
  if (!descriptor.is_object() || !descriptor.contains("annotations")) return false;
  const json& notes = descriptor["annotations"];
  return notes.is_object() && notes.contains(ref_name) && notes[ref_name] == tag;
}

const json* OciLayout::tagged(const std::string& tag) const {
  for (const json& descriptor : index_["manifests"])
    if (is_tagged(descriptor, tag)) return &descriptor;
  return nullptr;
}

void OciLayout::require_free(const std::string& tag, const Digest& config) const {
  const json* descriptor = tagged(tag);
  if (descriptor == nullptr) return;
  try {
    const auto digest = parse_digest(descriptor->at("digest").get<std::string>());
    if (digest && parse(blob(*digest)).at("config").at("digest") == "sha256:" + to_hex(config)) return;
  } catch (const std::exception&) {
    // what cannot be read is not this image
  }
  throw refused(target_.string() + " holds another image as " + tag, "export to a new folder");
}

Digest OciLayout::put(std::span<const std::byte> bytes) {
  const Digest digest = sha256(bytes);
  const fs::path path = blob(digest);
  const fs::file_status status = fs::symlink_status(path);
  if (fs::exists(status)) require_real(path, fs::file_type::regular);
  if (fs::exists(status) && fs::file_size(path) == bytes.size() && hash_file(path) == to_hex(digest)) return digest;
  PendingFile pending(path);
  File::create(pending.path()).write_at(0, bytes);
  pending.commit(true);
  // One that replaced a damaged blob is worth keeping, whatever becomes of this export.
  if (!fs::exists(status)) written_.push_back(path);
  return digest;
}

void OciLayout::commit(const std::string& tag, json descriptor) {
  descriptor["annotations"][ref_name] = tag;
  json others = json::array();
  for (const json& other : index_["manifests"])
    if (!is_tagged(other, tag)) others.push_back(other);
  others.push_back(std::move(descriptor));
  index_["manifests"] = std::move(others);
  write_text(work_ / "index.json", canonical_json(index_), true);
  if (work_ != target_) {
    sync_directory(work_);
    std::error_code error;
    fs::rename(work_, target_, error);
    if (error)
      throw system_error("cannot name " + target_.string(), error.value(), "did somebody make it? export again");
    sync_directory(target_.parent_path());
  }
  committed_ = true;
}

}  // namespace kiln

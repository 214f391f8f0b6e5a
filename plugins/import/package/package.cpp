#include "package/package.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>

#include <kiln/finding.h>

#include "package/package_manifest.h"
#include "package/xml.h"

namespace kiln::import {
namespace {

namespace fs = std::filesystem;

constexpr const char* ask = "ask whoever made it for a package that is whole";

bool ends(const std::string& name, std::string_view ending) {
  return lower(name).ends_with(ending);
}

Error absent(const fs::path& package, const std::string& name) {
  return refused(package.string() + " lacks a file of its own", ask, {in_quotes(name) + " is not in it"})
      .as(code::archive);
}

/// The only name with that ending, or none.
std::string only(const std::vector<std::string>& names, std::string_view ending, const fs::path& package) {
  std::string found;
  for (const std::string& name : names) {
    if (!ends(name, ending)) continue;
    if (!found.empty())
      throw refused(package.string() + " has two files of which there can be one", ask,
                    {in_quotes(found) + " and " + in_quotes(name)})
          .as(code::archive);
    found = name;
  }
  return found;
}

class Ova final : public Package {
 public:
  explicit Ova(Input archive) : archive_(std::move(archive)), members_(members_of_tar(archive_.file)) {
    for (const Member& member : members_)
      if (member.stored)
        throw refused(archive_.file.path().string() + " has a member with holes, which the archive leaves out",
                      "unpack it with tar -xSf, and import the OVF that is in it", {in_quotes(member.name)})
            .as(code::archive);
    archive_.check();
    const fs::path& path = archive_.file.path();
    descriptor_ = only(names(), ".ovf", path);
    manifest_ = only(names(), ".mf", path);
    if (descriptor_.empty())
      throw refused(path.string() + " is an archive without an OVF",
                    "is it an appliance? of any other archive with several files, take the disk out and import that",
                    {std::to_string(members_.size()) + " members, none ends in .ovf"})
          .as(code::archive);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const Member& member : members_) out.push_back(member.name);
    return out;
  }
  Input open(const std::string& name) const override {
    const auto member = std::ranges::find(members_, name, &Member::name);
    if (member == members_.end()) throw absent(archive_.file.path(), name);
    return {archive_.file.part(member->offset, member->size, name), archive_.guard};
  }
  std::string descriptor() const override { return descriptor_; }
  std::string manifest() const override { return manifest_; }

 private:
  Input archive_;
  std::vector<Member> members_;
  std::string descriptor_, manifest_;
};

class Folder final : public Package {
 public:
  explicit Folder(Input ovf) : ovf_(std::move(ovf)), path_(ovf_.file.path()) {
    const fs::path manifest = fs::path(path_).replace_extension(".mf");
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(manifest, ignored))) manifest_ = manifest.filename().string();
  }

  std::vector<std::string> names() const override { return {descriptor()}; }
  Input open(const std::string& name) const override {
    if (name == descriptor()) return {ovf_.file.again(), ovf_.guard};
    if (!is_plain_name(name)) throw absent(path_, name);
    const fs::path path = path_.parent_path() / name;
    struct stat before {};
    if (::lstat(path.c_str(), &before) != 0) throw absent(path_, name);
    if (!S_ISREG(before.st_mode))
      throw refused(path.string() + " is no plain file", "put the file itself beside the OVF",
                    {S_ISLNK(before.st_mode) ? "it is a link" : "it is a folder, a pipe or a device"})
          .as(code::archive);
    auto file = std::make_shared<const SteadyFile>(path);
    // It may have become a link in between.
    if (file->identity().device != before.st_dev || file->identity().inode != before.st_ino)
      throw Error(path.string() + " was changed while it was opened", "run again when nobody writes to it");
    return {file->file().again(), file};
  }
  std::string descriptor() const override { return path_.filename().string(); }
  std::string manifest() const override { return manifest_; }

 private:
  Input ovf_;
  fs::path path_;
  std::string manifest_;
};

std::string digest_of(const Input& input, Algorithm algorithm, const std::function<void(std::uint64_t)>& progress) {
  Hasher hasher(algorithm);
  std::vector<std::byte> buffer(1 << 20);
  for (std::uint64_t at = 0, size = input.file.size(); at < size;) {
    const std::size_t n = std::min<std::uint64_t>(buffer.size(), size - at);
    input.file.read_at(at, std::span(buffer).first(n));
    hasher.update(std::span<const std::byte>(buffer).first(n));
    progress(at += n);
  }
  input.check();
  return hasher.hex();
}

void check_listed(const Package& package, const Ovf& ovf, const std::vector<ManifestLine>& lines,
                  const File& manifest) {
  std::vector<std::string> needed{package.descriptor()};
  for (const OvfDisk& disk : ovf.disks)
    if (disk.file) needed.push_back(disk.file->href);
  for (const std::string& name : needed)
    if (std::ranges::find(lines, name, &ManifestLine::name) == lines.end())
      throw refused(manifest.path().string() + " does not list a file that is used", ask, {in_quotes(name)})
          .as(code::manifest);
}

void check_manifest(const Package& package, const Ovf& ovf, const Hashed& hashed) {
  const Input manifest = package.open(package.manifest());
  const std::vector<ManifestLine> lines = lines_of_manifest(manifest.file);
  check_listed(package, ovf, lines, manifest.file);
  std::uint64_t total = 0, done = 0;
  for (const ManifestLine& line : lines) try {
      total += package.open(line.name).file.size();
    } catch (const Error& error) {
      if (error.code() != code::archive) throw;
      throw refused(manifest.file.path().string() + " lists a file that is not there", ask,
                    {"line " + std::to_string(line.number) + ": " + in_quotes(line.name)})
          .as(code::manifest);
    }
  for (const ManifestLine& line : lines) {
    const Input file = package.open(line.name);
    const std::string actual = digest_of(file, line.algorithm, [&](std::uint64_t at) { hashed(done + at, total); });
    done += file.file.size();
    if (actual != line.digest)
      throw refused(
          file.file.path().string() + " is not what the manifest says", "get the package again",
          {"manifest, line " + std::to_string(line.number) + ": " + name_of(line.algorithm) + " " + line.digest,
           "the file has " + actual})
          .as(code::manifest);
  }
}

void check_files(const Package& package, const Ovf& ovf, std::vector<Finding>& findings) {
  for (const OvfFile& file : ovf.files) {
    const std::uint64_t size = package.open(file.href).file.size();
    if (!file.size || *file.size == size) continue;
    const std::string proof = in_quotes(file.href) + ": the OVF says " + std::to_string(*file.size) +
                              " bytes, it has " + std::to_string(size);
    if (!ovf.ovirt)
      throw refused("a file has another size than " + package.descriptor() + " says", "get the package again", {proof})
          .as(code::invalid_size);
    findings.push_back({.code = std::string(code::invalid_size),
                        .severity = Severity::note,
                        .what = "a file has another size than the OVF says, as is usual with oVirt",
                        .evidence = {proof}});
  }
}

}  // namespace

Package::~Package() = default;

std::optional<Member> lone_disk(const fs::path& archive, const std::vector<Member>& members) {
  if (ends(archive.filename().string(), ".ova")) return std::nullopt;
  std::optional<Member> found;
  // Of Vagrant's boxes, of Google's older exports, and of Oracle's (".oci").
  constexpr std::array<std::string_view, 5> about{"metadata.json", "info.json", "Vagrantfile", "manifest.json",
                                                  "image_metadata.json"};
  for (const Member& member : members) {
    if (std::ranges::find(about, member.name) != about.end()) continue;
    if (found || ends(member.name, ".ovf")) return std::nullopt;
    found = member;
  }
  return found;
}

std::unique_ptr<Package> open_ova(Input archive) {
  return std::make_unique<Ova>(std::move(archive));
}

std::unique_ptr<Package> open_ovf_folder(Input ovf) {
  return std::make_unique<Folder>(std::move(ovf));
}

std::vector<Finding> verify_package(const Package& package, const Ovf& ovf, const Hashed& hashed) {
  std::vector<Finding> findings;
  check_files(package, ovf, findings);
  if (package.manifest().empty())
    findings.push_back({.code = std::string(code::manifest),
                        .severity = Severity::note,
                        .what = "the package has no manifest: nothing says whether it is whole",
                        .evidence = {}});
  else
    check_manifest(package, ovf, hashed);
  for (const std::string& name : package.names())
    if (ends(name, ".cert"))
      findings.push_back({.code = std::string(code::manifest),
                          .severity = Severity::note,
                          .what = "the package is signed, and kiln does not verify by whom",
                          .evidence = {in_quotes(name)}});
  return findings;
}

}  // namespace kiln::import

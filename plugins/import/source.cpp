#include "source.h"

#include <algorithm>
#include <optional>

#include <kiln/finding.h>
#include <kiln/layout.h>
#include <kiln/text.h>

#include "package/package.h"
#include "package/tar.h"

namespace kiln::import {
namespace {

/// A disk that an OVF has without a file.
class EmptyDisk final : public BlockReader {
 public:
  explicit EmptyDisk(std::uint64_t size) : size_(size) {}
  std::uint64_t size() const override { return size_; }
  Extent extent_at(std::uint64_t offset) const override { return {offset, size_ - offset, false}; }
  void read(std::uint64_t, std::span<std::byte> into) const override { std::ranges::fill(into, std::byte{0}); }

 private:
  std::uint64_t size_;
};

/// What is an archive and a disk at once is read by each program as it likes. A boot sector is one, too: a tar has
/// zeros where its mark is.
void refuse_polyglot(const Formats& formats, const File& file, const std::string& wrapping) {
  constexpr std::size_t most = 64 * 1024;
  const std::uint64_t size = file.size();
  std::vector<std::byte> head(std::min<std::uint64_t>(size, most)), tail(head.size());
  file.read_at(0, head);
  file.read_at(size - tail.size(), tail);
  std::string other;
  for (const std::string& name : formats.names()) try {
      if (formats.get(name).probe({head, tail, size}) == Match::yes) other = name;
    } catch (const Error&) {  // a plugin that does not load claims nothing
    }
  if (wrapping == "tar" && head.size() >= 512 && head[510] == std::byte{0x55} && head[511] == std::byte{0xaa})
    other = "a boot sector";
  if (!other.empty())
    throw refused(file.path().string() + " could be more than one format: " + wrapping + ", " + other,
                  "ask whoever made it which it is, and force that one with format")
        .as(code::ambiguous_format);
}

/// The content decides. A file that is said to be raw and is something else was perhaps made by the guest on that
/// disk, and one that is said to be a container and has no mark of one is damaged.
const Format& format_of(Context& ctx, const OvfDisk& disk, const File& file) {
  const std::string claim = "DiskSection, Disk " + in_quotes(disk.id) + " is said to be " + disk.format;
  const Format* found = nullptr;
  try {
    found = &ctx.formats().detect(file);
  } catch (const Error& error) {
    if (disk.format != "raw" || error.code() != code::unknown_format) throw;
    found = &ctx.formats().get("raw");
  }
  const std::string& name = found->about().name;
  if (disk.format.empty() || disk.format == name) return *found;
  if (disk.format == "raw" || name == "raw")
    throw refused(file.path().string() + " is not in the format that its OVF says",
                  "ask whoever made it, or import the disk on its own with format", {claim, "it is " + name})
        .as(code::format_mismatch);
  ctx.found({.code = std::string(code::format_mismatch),
             .severity = Severity::warning,
             .what = "a disk is not in the format that its OVF says; its content decides",
             .evidence = {claim, "it is " + name}});
  return *found;
}

/// Sizes in units of more than a byte are rounded, up or down.
void check_capacity(const OvfDisk& disk, const File& file, std::uint64_t size) {
  const std::uint64_t apart = size > disk.capacity ? size - disk.capacity : disk.capacity - size;
  if (disk.capacity == 0 || apart < disk.unit) return;
  throw refused(
      file.path().string() + " has another size than its OVF says", "get the package again",
      {"DiskSection, Disk " + in_quotes(disk.id) + ": capacity of " + std::to_string(disk.capacity) + " bytes",
       "the disk has " + std::to_string(size)})
      .as(code::format_mismatch);
}

SourceDisk open_with(Context& ctx, const Format& format, Input input, bool forced_raw = false) {
  SourceDisk out{.name = input.file.path().filename().string(), .found = format.inspect(input.file), .disk = {}};
  for (const Finding& finding : out.found.findings) ctx.found(finding);
  out.disk = keep_steady(std::move(input.guard), format.open(std::move(input.file)));
  if (!forced_raw) refuse_nested(ctx.formats(), *out.disk, out.name);
  return out;
}

SourceDisk open_disk(Context& ctx, const OvfDisk& disk, const Package& package, const UnpackLimits& limits) {
  if (!disk.file)
    return {.name = "empty",
            .found = {.format = "empty", .variant = {}, .virtual_size = disk.capacity, .details = {}},
            .disk = std::make_shared<EmptyDisk>(disk.capacity)};
  Input input = package.open(disk.file->href);
  const Packing packing = packing_of(input.file);
  if (packing != (disk.file->gzip ? Packing::gzip : Packing::none))
    throw refused(
        input.file.path().string() + " is not compressed in the way that its OVF says", "ask whoever made it",
        {"References, File " + in_quotes(disk.file->href) + ": compression " + (disk.file->gzip ? "gzip" : "none"),
         "it begins as " + std::string(name_of(packing))})
        .as(code::format_mismatch);
  if (disk.file->gzip) {
    File inside = unpack(ctx, input.file, packing, limits);
    input.check();
    input = {std::move(inside), {}};
  }
  const Format& format = format_of(ctx, disk, input.file);
  const File same = input.file.again();
  SourceDisk out = open_with(ctx, format, std::move(input));
  check_capacity(disk, same, out.disk->size());
  return out;
}

Source open_package(Context& ctx, const Package& package, std::string kind, const UnpackLimits& limits) {
  const Input descriptor = package.open(package.descriptor());
  const Ovf ovf = parse_ovf(descriptor.file);
  descriptor.check();
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    ctx.progress(
        {Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(total), "verifying the manifest"});
  };
  std::vector<Finding> findings = verify_package(package, ovf, progress);
  findings.insert(findings.end(), ovf.findings.begin(), ovf.findings.end());
  for (const Finding& finding : findings) ctx.found(finding);
  Source out{.kind = std::move(kind), .disks = {}, .facts = ovf.facts};
  for (const OvfDisk& disk : ovf.disks) out.disks.push_back(open_disk(ctx, disk, package, limits));
  return out;
}

/// The bytes of a disk, which an archive keeps without its holes.
SourceDisk open_holed_disk(Context& ctx, const Input& archive, const Member& member) {
  const std::string name = archive.file.path().string() + '/' + member.name;
  SourceDisk out{.name = member.name,
                 .found = {.format = "raw",
                           .variant = "with holes",
                           .virtual_size = member.size,
                           .file_size = *member.stored,
                           .details = {}},
                 .disk = keep_steady(archive.guard, open_holed(archive.file.again(), member.runs, member.size))};
  if (member.size == 0) throw Error(name + " is empty", "get a complete copy of the file").as(code::invalid_size);
  refuse_nested(ctx.formats(), *out.disk, name);
  require_disk(*out.disk, name);
  return out;
}

SourceDisk open_member(Context& ctx, const Input& archive, const Member& member) try {
  if (member.stored) return open_holed_disk(ctx, archive, member);
  File inside = archive.file.part(member.offset, member.size, member.name);
  const Format& format = ctx.formats().detect(inside);
  return open_with(ctx, format, {std::move(inside), archive.guard});
} catch (const Error& error) {
  if (error.code() != code::unknown_format) throw;
  throw invalid(error.what(), "unpack the archive; if its file really is the bytes of a disk, force format raw then",
                error.evidence())
      .as(code::unknown_format);
}

Source open_tar(Context& ctx, Input archive, const UnpackLimits& limits) {
  refuse_polyglot(ctx.formats(), archive.file, "tar");
  const std::optional<Member> alone = lone_disk(archive.file.path(), members_of_tar(archive.file));
  if (!alone) return open_package(ctx, *open_ova(std::move(archive)), "ova", limits);
  Source out{.kind = "tar", .disks = {}, .facts = {}};
  out.disks.push_back(open_member(ctx, archive, *alone));
  return out;
}

Source open_plain(Context& ctx, Input input, const std::string& format, const UnpackLimits& limits) {
  if (format.empty() && is_tar(input.file)) return open_tar(ctx, std::move(input), limits);
  if (format.empty() && is_xml(input.file)) {
    if (!input.guard)
      throw refused(input.file.path().string() + " is an OVF without its disks", "unpack the whole package")
          .as(code::external_extent);
    return open_package(ctx, *open_ovf_folder(std::move(input)), "ovf", limits);
  }
  const Format& found = format.empty() ? ctx.formats().detect(input.file) : ctx.formats().get(format);
  Source out;
  out.disks.push_back(open_with(ctx, found, std::move(input), format == "raw"));
  out.kind = out.disks.front().found.format;
  return out;
}

}  // namespace

Source open_source(Context& ctx, Input input, const std::string& format, const UnpackLimits& limits) {
  const Packing packing = packing_of(input.file);
  if (packing == Packing::none) return open_plain(ctx, std::move(input), format, limits);
  refuse_polyglot(ctx.formats(), input.file, std::string(name_of(packing)));
  File inside = unpack(ctx, input.file, packing, limits);
  input.check();
  Source out = open_plain(ctx, {std::move(inside), {}}, format, limits);
  out.facts["source.compression"] = name_of(packing);
  return out;
}

std::string kinds_of_disks(const Source& source) {
  std::string kinds;
  for (const SourceDisk& disk : source.disks)
    kinds +=
        (kinds.empty() ? "" : ", ") + disk.found.format + (disk.found.variant.empty() ? "" : " " + disk.found.variant);
  return kinds;
}

std::string describe(const Source& source) {
  std::uint64_t size = 0;
  for (const SourceDisk& disk : source.disks) size += disk.disk->size();
  const std::string kinds = kinds_of_disks(source);
  const std::string total = ", " + format_bytes(size);
  if (source.kind == source.disks.front().found.format) return kinds + total;
  const std::size_t count = source.disks.size();
  return source.kind + ", " + std::to_string(count) + (count == 1 ? " disk (" : " disks (") + kinds + ")" + total;
}

std::string fingerprint_within(const std::filesystem::path& path, const std::string& run) try {
  const auto steady = std::make_shared<const SteadyFile>(path);
  Input input{steady->file().again(), steady};
  if (const Packing packing = packing_of(input.file); packing != Packing::none) {
    std::vector<std::byte> head(512);  // an OVA begins as one
    decoder_for(input.file, packing)->read(head);
    return std::string_view(reinterpret_cast<const char*>(head.data()) + 257, 5) == "ustar" ? " read at " + run : "";
  }
  const bool tar = is_tar(input.file);
  if (!tar && !is_xml(input.file)) return {};
  const auto package = tar ? open_ova(std::move(input)) : open_ovf_folder(std::move(input));
  const Ovf ovf = parse_ovf(package->open(package->descriptor()).file);
  std::string text;
  for (const OvfFile& file : ovf.files)
    if (!tar) text += ' ' + Identity::of(package->open(file.href).file).text();
  return ovf.disks.size() > 1 ? text + " read at " + run : text;
} catch (const Error&) {
  return {};
}

}  // namespace kiln::import

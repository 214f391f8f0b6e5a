// kiln image export: an image's disk as a file in any format that can be written, or as an OCI image layout.
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "catalog/image_parts.h"
#include "catalog/oci_export.h"
#include "cli/activity.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "cli/write_disk.h"
#include "disk/manifest.h"

namespace kiln::cli {
namespace {

/// Parts of the image that what was written does not hold.
void tell_left_out(Call& call, const std::string& image, const std::vector<std::string>& parts) {
  if (parts.empty() || call.out.json()) return;
  call.out.line(printable(fmt::format("not written of {}: {}; to write one: kiln image export {} FILE --part {}", image,
                                      fmt::join(parts, ", "), image, parts.front())));
}

void export_layout(Call& call, const ImageEntry& entry) {
  if (call.args.has("FILE") || call.args.has("format") || call.args.has("option") || call.args.has("part"))
    throw invalid("kiln image export: --oci writes a folder, and takes neither FILE nor --format, --option nor --part",
                  "kiln image export IMAGE --oci DIR");
  const std::filesystem::path folder = call.args.text("oci");
  Activity activity("writing", call.out.json());
  const OciExported made = export_oci(call.services.catalog().read_stored(entry.image), entry,
                                      {.folder = folder, .stop = call.stop, .progress = activity.bytes()});
  activity.end();
  std::vector<std::string> left_out;
  for (const ImagePart& part : entry.image.parts) left_out.push_back(part.name);
  tell_left_out(call, entry.reference(), left_out);
  const std::string content = "sha256:" + to_hex(entry.image.content), manifest = "sha256:" + to_hex(made.manifest);
  if (call.out.json())
    call.out.object({{"image", entry.reference()},
                     {"folder", folder.string()},
                     {"format", "oci"},
                     {"tag", made.tag},
                     {"manifest", manifest},
                     {"blobs", made.blobs},
                     {"new_blobs", made.copied},
                     {"size", made.bytes},
                     {"content", content},
                     {"parts_left_out", left_out}});
  else
    call.out.line(fmt::format("{}  oci  {}  {} blobs, {} new, {}  {}", printable(folder.string()), made.tag, made.blobs,
                              made.copied, format_bytes(made.bytes), content));
}

/// The image's further disks, and what is known of it.
RestOfMachine rest_of(const LocalCatalog& catalog, const Image& image) {
  RestOfMachine rest;
  rest.known = image.facts;
  rest.known["origin.name"] = image.name;
  for (const ImagePart& part : image.parts) {
    if (part.role != part_role::data) continue;
    const Image disk = disk_of(image, part);
    rest.disks.push_back({catalog.read(disk), catalog.manifest(disk)});
  }
  return rest;
}

std::vector<std::string> left_out(const Image& image, const Format& format) {
  std::vector<std::string> names;
  for (const ImagePart& part : image.parts)
    if (!format.is_package() || part.role != part_role::data) names.push_back(part.name);
  return names;
}

void export_file(Call& call, const Image& image) {
  LocalCatalog& catalog = call.services.catalog();
  const std::filesystem::path target = call.args.text("FILE");
  const Format& format = format_for(call.services.registry(), target, call.args.text("format"));
  const Table options = format_options(call.args.pairs("option"), format);
  const auto reader = catalog.read(image);
  const Manifest manifest = catalog.manifest(image);

  Activity activity("writing", call.out.json());
  write_disk(target, {.from = *reader,
                      .format = format,
                      .options = options,
                      .known = &manifest,
                      .stop = call.stop,
                      .progress = activity.bytes(),
                      .rest = format.is_package() ? rest_of(catalog, image) : RestOfMachine{}});
  activity.end();
  const auto size = std::filesystem::file_size(target);
  const std::string name = image.name + ":" + image.version, content = "sha256:" + to_hex(image.content);
  const std::vector<std::string> others = left_out(image, format);
  tell_left_out(call, name, others);
  if (call.out.json())
    call.out.object({{"image", name},
                     {"file", target.string()},
                     {"format", format.about().name},
                     {"file_size", size},
                     {"content", content},
                     {"parts_left_out", others}});
  else
    call.out.line(
        fmt::format("{}  {}  {}  {}", printable(target.string()), format.about().name, format_bytes(size), content));
}

}  // namespace

int run_image_export(Call& call) {
  if (!call.args.has("FILE") && !call.args.has("oci"))
    throw invalid("kiln image export: FILE is missing", "kiln image export IMAGE FILE");
  const ImageEntry entry = call.services.catalog().show(call.args.text("IMAGE"), Action::write_out);
  if (call.args.has("oci"))
    export_layout(call, entry);
  else
    export_file(call, call.args.has("part") ? disk_of(entry.image, part_named(entry.image, call.args.text("part")))
                                            : entry.image);
  return 0;
}

}  // namespace kiln::cli

// kiln image export: an image's disk as a file in any format that can be written, or as an OCI image layout.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
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

void export_layout(Call& call, const ImageEntry& entry) {
  if (call.args.has("FILE") || call.args.has("format") || call.args.has("option") || call.args.has("part"))
    throw invalid("kiln image export: --oci writes a folder, and takes neither FILE nor --format, --option nor --part",
                  "kiln image export IMAGE --oci DIR");
  const std::filesystem::path folder = call.args.text("oci");
  Activity activity("writing", call.out.json());
  const OciExported made = export_oci(call.services.catalog().read_stored(entry.image), entry,
                                      {.folder = folder, .stop = call.stop, .progress = activity.bytes()});
  activity.end();
  Json left_out = Json::array();
  for (const ImagePart& part : entry.image.parts) left_out.push_back(part.name);
  if (!left_out.empty() && !call.out.json())
    call.out.line(
        printable(fmt::format("only the system disk of {} was written; its other parts: kiln image export {} "
                              "FILE --part {}",
                              entry.reference(), entry.reference(), entry.image.parts.front().name)));
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

/// A format that describes the machine as well takes an option `facts`: what is known of the image. A machine without
/// one of its disks is none.
void describe_machine(const Format& format, const Image& image, Table& options) {
  if (std::ranges::find(format.about().params, "facts", &Param::name) == format.about().params.end()) return;
  std::vector<std::string> further;
  for (const ImagePart& part : image.parts)
    if (part.role == part_role::data) further.push_back(part.name);
  if (!further.empty())
    throw invalid(image.name + " has further disks, and kiln writes an " + format.about().name + " of one disk",
                  "write each disk: kiln image export IMAGE FILE --part NAME, and the system disk in another format",
                  further);
  Table known{{"origin.name", Value{image.name}}};
  for (const auto& [name, value] : image.facts) known.try_emplace(name, Value{value});
  options.try_emplace("facts", Value{known});
}

void export_file(Call& call, const Image& image) {
  LocalCatalog& catalog = call.services.catalog();
  const std::filesystem::path target = call.args.text("FILE");
  const Format& format = format_for(call.services.registry(), target, call.args.text("format"));
  Table options = format_options(call.args.pairs("option"), format);
  describe_machine(format, image, options);
  const auto reader = catalog.read(image);
  const Manifest manifest = catalog.manifest(image);

  Activity activity("writing", call.out.json());
  write_disk(target, {.from = *reader,
                      .format = format,
                      .options = options,
                      .known = &manifest,
                      .stop = call.stop,
                      .progress = activity.bytes()});
  activity.end();
  const auto size = std::filesystem::file_size(target);
  const std::string name = image.name + ":" + image.version, content = "sha256:" + to_hex(image.content);
  if (call.out.json())
    call.out.object({{"image", name},
                     {"file", target.string()},
                     {"format", format.about().name},
                     {"file_size", size},
                     {"content", content}});
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

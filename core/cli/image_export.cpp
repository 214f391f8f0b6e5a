// kiln image export: an image's disk as a file in any format that can be written.
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/activity.h"
#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "cli/write_disk.h"
#include "disk/manifest.h"

namespace kiln::cli {

int run_image_export(Call& call) {
  LocalCatalog& catalog = call.services.catalog();
  const Image image = catalog.show(call.args.text("IMAGE"), Action::write_out).image;
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
  return 0;
}

}  // namespace kiln::cli

// kiln import: the pipeline import → publish, made from the command line, with preflight between them when it is
// wanted.
#include <fmt/format.h>

#include "cli/pipelines.h"

namespace kiln::cli {

int run_import(Call& call) {
  if (!call.args.has("name")) throw invalid("kiln import: --name is missing", "kiln import FILE --name NAME");
  if (call.args.has("FILE") == call.args.has("domain"))
    throw invalid("kiln import takes a file or URL, or a domain of libvirt's",
                  "kiln import FILE --name NAME, or --domain DOMAIN instead of the file");
  Table import = call.args.has("domain") ? Table{{"domain", Value{call.args.text("domain")}}}
                                         : import_of(call.args, call.args.text("FILE"));
  if (call.args.has("connect")) import["connect"] = Value{call.args.text("connect")};
  if (call.args.has("format")) import["format"] = Value{call.args.text("format")};
  if (call.args.has("tag")) import["tag"] = Value{call.args.text("tag")};
  Table publish{{"image", Value{call.args.text("name")}}};
  if (call.args.has("version")) publish["version"] = Value{call.args.text("version")};

  std::vector<engine::StageCall> stages{{"import", import}, {"publish", publish}};
  if (call.args.has("profile") || call.args.has("fix") || call.args.has("force"))
    stages.insert(stages.begin() + 1, {"preflight", preflight_of(call.args)});
  const auto result = run_short(call, "import", stages);
  if (!result) return static_cast<int>(Failure::invalid);
  const auto reference = result->facts.find("image.reference");
  if (call.out.json() || reference == result->facts.end()) return 0;
  const Image image = call.services.catalog().show(reference->second).image;
  call.out.line(fmt::format("{}  {}, {} stored  sha256:{}", printable(reference->second),
                            format_bytes(image.virtual_size), format_bytes(image.stored_bytes), to_hex(image.content)));
  return 0;
}

}  // namespace kiln::cli

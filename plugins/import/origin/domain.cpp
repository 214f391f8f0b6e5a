#include "origin/domain.h"

#include <kiln/layout.h>

namespace kiln::import {

bool is_from_domain(const Params& p) {
  return !p.domain.empty();
}

void check_domain(const Params& p, Check& c) {
  if (!p.connect.empty() && p.domain.empty())
    c.problem("connect", "\"connect\" goes with \"domain\"", "name the machine with domain");
  if (p.domain.empty()) return;
  for (const auto& [name, value] :
       {std::pair("file", p.file.string()), std::pair("url", p.url), std::pair("format", p.format),
        std::pair("sha256", p.sha256), std::pair("sha512", p.sha512), std::pair("checksums", p.checksums.string())})
    if (!value.empty())
      c.problem(name, '"' + std::string(name) + "\" does not go with \"domain\": libvirt says where its disks are",
                "leave it out");
}

void run_domain(Context& ctx, const Params& p) {
  CaptureSpec spec{.instance = {}, .domain = p.domain, .connect = p.connect, .qmp = {}, .agent = {}, .scratch = {}};
  spec.least = Consistency::stopped;
  Capture captured = ctx.machines().capture(spec);
  for (const std::string& warning : captured.warnings) ctx.warn(warning);
  if (captured.drives.empty()) throw Error("the machine has no disk");
  Facts& facts = ctx.facts();
  for (const auto& [name, value] : captured.facts) facts[name] = value;
  facts["source.kind"] = "import";
  facts["source.format"] = "domain";
  std::uint64_t size = 0;
  for (const CapturedDrive& drive : captured.drives) size += drive.disk->size();
  const auto& system = captured.drives.front().disk;
  facts["disk.layout"] = look_at(*system).kind;
  ctx.summary(p.domain + "  domain, " + std::to_string(captured.drives.size()) +
              (captured.drives.size() == 1 ? " disk, " : " disks, ") + format_bytes(size));
  ctx.produce(system);
  for (std::size_t i = 1; i < captured.drives.size(); ++i) {
    const CapturedDrive& drive = captured.drives[i];
    if (drive.role == part_role::data) facts["disk.layout." + drive.name] = look_at(*drive.disk).kind;
    ctx.add_part(drive.role, drive.name, *drive.disk);
  }
}

}  // namespace kiln::import

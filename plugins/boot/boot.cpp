// Proves that the disk boots, and that proving it changed nothing.
#include <kiln/hash.h>
#include <kiln/plugin.h>

namespace kiln {
namespace {

struct Params {
  std::string expect = "login:";
  bool agent = false;
  Duration timeout{std::chrono::minutes(5)};
  Bytes memory{1u << 30};
  std::int64_t cpus = 2;
  std::string firmware = "auto";
};

constexpr std::uint64_t least_memory = 32u << 20;

/// The fact is "bios", "uefi", or both: then BIOS, which is ten times faster to its boot loader. What starts with
/// Secure Boot starts without it.
Firmware firmware_for(const Params& p, const Facts& facts) {
  if (p.firmware != "auto") return p.firmware == "uefi" ? Firmware::uefi : Firmware::bios;
  const auto known = facts.find("boot.firmware");
  const bool needs_uefi = known != facts.end() && (known->second == "uefi" || known->second == "secure");
  return needs_uefi ? Firmware::uefi : Firmware::bios;
}

std::string what_was_seen(const Params& p) {
  const std::string text = "\"" + p.expect + "\"";
  if (!p.agent) return text;
  return p.expect.empty() ? "guest agent" : text + " and guest agent";
}

class Boot final : public StageOf<Params, Role::sink, Access::file> {
 public:
  Boot()
      : StageOf(
            {.name = "boot",
             .summary = "Boot the disk on an overlay that is thrown away, and wait for a sign of life.",
             .needs = {"qemu-system-x86_64", "qemu-img"}},
            {{"expect", &Params::expect, "Text to wait for on the serial console; empty: none."},
             {"agent", &Params::agent, "Wait for the guest agent to answer, too."},
             {"timeout", &Params::timeout, "How long a boot may take, for example \"90s\"."},
             {"memory", &Params::memory, "Memory of the machine."},
             {"cpus", &Params::cpus, "Processors of the machine."},
             {"firmware", &Params::firmware, {"auto", "bios", "uefi"}, "auto: what is known of the disk, or BIOS."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    if (p.expect.empty() && !p.agent)
      c.problem("expect", "there is nothing to wait for", "give a text to \"expect\", or agent = true");
    if (p.expect.find_first_of("\r\n") != std::string::npos)
      c.problem("expect", "\"expect\" must be a single line", "wait for the last line of it");
    if (p.timeout <= Duration(0)) c.problem("timeout", "\"timeout\" must be longer than nothing");
    if (p.memory.count < least_memory) c.problem("memory", "a machine needs at least 32 MiB of memory");
    if (p.cpus < 1 || p.cpus > 255) c.problem("cpus", "\"cpus\" must be a number from 1 to 255");
  }

  void run(Context& ctx, const Params& p) const override {
    const DiskFile disk = ctx.disk();
    const BootSpec spec{.disk = disk.file,
                        .format = disk.format,
                        .disk_size = ctx.disk_size(),
                        .folder = ctx.scratch(),
                        .firmware = firmware_for(p, ctx.facts()),
                        .memory = p.memory,
                        .cpus = static_cast<unsigned>(p.cpus),
                        .expect = p.expect,
                        .agent = p.agent,
                        .timeout = p.timeout};
    ctx.progress({Progress::Unit::operations, 0, 0, "fingerprint of the disk"});
    const std::string before = hash_file(disk.file);
    ctx.progress({Progress::Unit::operations, 0, 0, "waiting for " + what_was_seen(p)});
    const BootReport report = ctx.machines().boot(spec);
    ctx.log("accelerator " + report.accelerator + ", seen: " + report.matched);
    if (hash_file(disk.file) != before)
      throw Error("the disk changed while it was booted", "another program wrote to it; run the pipeline again",
                  {disk.file.string()});
    ctx.facts().insert_or_assign("boot.checked", what_was_seen(p));
    ctx.summary(what_was_seen(p) + " after " + format_duration(report.elapsed) + ", image unchanged");
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Boot)

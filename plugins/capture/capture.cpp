#include <array>
#include <chrono>
#include <utility>

#include <kiln/plugin.h>

#include <kiln/layout.h>

namespace kiln {
namespace {

struct Params {
  std::string instance;
  std::string domain;
  std::string connect;
  std::filesystem::path qmp;
  std::filesystem::path agent;
  std::filesystem::path scratch;
  std::string require = "crash-consistent";
  Duration freeze_limit{std::chrono::seconds(10)};
  bool with_memory = false;
};

constexpr std::array<std::pair<const char*, Consistency>, 3> levels{
    {{"crash-consistent", Consistency::crash_consistent},
     {"quiesced", Consistency::quiesced},
     {"stopped", Consistency::stopped}}};

class CaptureStage final : public StageOf<Params, Role::source> {
 public:
  CaptureStage()
      : StageOf(
            {.name = "capture", .summary = "Take the disks of a machine, as they are at one moment, while it goes on."},
            {{"instance", &Params::instance, "An instance, as kiln ps shows it."},
             {"domain", &Params::domain, "Instead: a domain of libvirt's, by its name or UUID."},
             {"connect", &Params::connect, "With `domain`: libvirt's URI of its host. Default: libvirt's own."},
             {"qmp", &Params::qmp, "Instead: a QMP socket of any other QEMU."},
             {"agent", &Params::agent, "With `qmp`: the socket of its guest agent's channel."},
             {"scratch", &Params::scratch,
              "A folder for the blocks that the guest overwrites meanwhile. Default: the instance's own."},
             {"require", &Params::require, {"crash-consistent", "quiesced", "stopped"}, "Refuse less than this."},
             {"freeze_limit", &Params::freeze_limit, "How long the guest may stay frozen."},
             {"with_memory", &Params::with_memory,
              "Also the memory of the same moment, from which `kiln launch --resume` goes on. An instance's only."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    if (!p.instance.empty() + !p.domain.empty() + !p.qmp.empty() != 1)
      c.problem("instance", "one machine is captured: \"instance\" or \"domain\" names it, or \"qmp\" its socket",
                "give one of them");
    if (!p.connect.empty() && p.domain.empty())
      c.problem("connect", "\"connect\" goes with \"domain\": kiln knows where its instances are", "leave it out");
    if (!p.agent.empty() && p.qmp.empty())
      c.problem("agent", "\"agent\" goes with \"qmp\": kiln knows where the agent of its instances is", "leave it out");
    if (p.with_memory && p.instance.empty())
      c.problem("with_memory", "\"with_memory\" goes with \"instance\": kiln could not make another machine again",
                "leave it out");
    if (p.with_memory && p.require != "crash-consistent")
      c.problem("with_memory", "with its memory a machine is captured as it goes, neither stopped nor quiesced",
                "leave out \"require\"");
    if (p.freeze_limit <= Duration(0) || p.freeze_limit > Duration(std::chrono::minutes(1)))
      c.problem("freeze_limit", "\"freeze_limit\" takes a duration up to a minute", "for example \"10s\"");
  }

  /// A machine goes on: every kiln takes another moment of it.
  std::string fingerprint(const Params&) const override {
    static const auto started = std::chrono::system_clock::now().time_since_epoch().count();
    return "captured at " + std::to_string(started);
  }

  void run(Context& ctx, const Params& p) const override {
    CaptureSpec spec{.instance = p.instance,
                     .domain = p.domain,
                     .connect = p.connect,
                     .qmp = p.qmp,
                     .agent = p.agent,
                     .scratch = p.scratch};
    spec.freeze_limit = p.freeze_limit;
    spec.with_memory = p.with_memory;
    for (const auto& [name, level] : levels)
      if (p.require == name) spec.least = level;
    Capture captured = ctx.machines().capture(spec);
    for (const std::string& warning : captured.warnings) ctx.warn(warning);
    if (captured.drives.empty()) throw Error("the machine has no disk");
    Facts& facts = ctx.facts();
    for (const auto& [name, value] : captured.facts) facts[name] = value;
    facts["source.kind"] = "capture";
    const auto& disk = captured.drives.front().disk;
    // A guest writes what it likes: its disks are looked at as a stranger's file is.
    facts["disk.layout"] = look_at(*disk).kind;
    for (const CapturedDrive& drive : captured.drives)
      if (drive.role == part_role::data) facts["disk.layout." + drive.name] = look_at(*drive.disk).kind;
    std::uint64_t size = 0;
    for (const CapturedDrive& drive : captured.drives) size += drive.disk->size();
    const std::size_t others = captured.drives.size() - 1;
    ctx.summary(facts["capture.instance"] + ", " + facts["capture.consistency"] + ", " + format_bytes(size) +
                (others == 0 ? "" : ", with " + std::to_string(others) + (others == 1 ? " part" : " parts")));
    ctx.produce(disk);
    for (std::size_t i = 1; i < captured.drives.size(); ++i)
      ctx.add_part(captured.drives[i].role, captured.drives[i].name, *captured.drives[i].disk);
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::CaptureStage)

// Looks at a disk from elsewhere before it becomes an image: would the system on it start, be reached, be safe to copy?
#include <algorithm>

#include <kiln/file.h>
#include <kiln/hash.h>
#include <kiln/plugin.h>

#include "boot.h"
#include "command_line.h"
#include "fstab.h"
#include "kernel.h"
#include "network.h"
#include "profile.h"
#include "secrets.h"
#include "services.h"
#include "system.h"
#include "windows.h"

namespace kiln::preflight {
namespace {

struct Params {
  std::string profile = "none";
  bool fix = false, force = false;
};

/// By what the inspection says of the system. What kiln knows nothing of is only held to the limits.
const std::vector<Survey>& surveys_for(const std::string& type) {
  static const std::vector<Survey> windows{{"drivers and services", look_at_windows}};
  static const std::vector<Survey> others{};
  static const std::vector<Survey> linux_ones{{"kernels", look_at_kernels, mend_kernels},
                                              {"fstab", look_at_fstab, mend_fstab},
                                              {"command lines", look_at_command_lines, mend_command_lines},
                                              {"boot loader", look_at_boot, mend_boot},
                                              {"network", look_at_network, mend_network},
                                              {"cloud-init", look_at_cloud_init, mend_cloud_init},
                                              {"guest tools", look_at_guest_tools},
                                              {"secrets", look_at_secrets}};
  return type == "linux" ? linux_ones : type == "windows" ? windows : others;
}

/// "VirtioNotInstall, CloudInitNotInstalled": each once, of findings of this severity or above.
std::string codes_of(const Findings& findings, Severity least) {
  std::vector<std::string> codes;
  std::string text;
  for (const Finding& finding : findings) {
    if (finding.severity < least || std::ranges::find(codes, finding.code) != codes.end()) continue;
    codes.push_back(finding.code);
    text += (text.empty() ? "" : ", ") + finding.code;
  }
  return text;
}

/// One look at one disk.
class Look {
 public:
  Look(Context& ctx, const Params& params)
      : ctx_(ctx), params_(params), profile_(read_profile(profile_file(params.profile))) {}

  void run() {
    const std::size_t disks = 1 + ctx_.parts().size();
    tell(look_at_limits(profile_, ctx_.facts(), ctx_.disk_size(), disks));
    Facts os;
    ctx_.progress({Progress::Unit::operations, 0, 0, "starting the appliance"});
    tell(look_at_disk(ctx_.guest(), os, !params_.fix));
    const System system{.guest = ctx_.guest(),
                        .arch = os.contains("os.arch") ? os["os.arch"] : "x86_64",
                        .root = os["os.root"],
                        .several_disks = disks > 1,
                        .read_only = !params_.fix,
                        .stop = ctx_.stop()};
    const std::vector<Survey>& surveys = surveys_for(os.contains("os.type") ? os["os.type"] : "");
    for (std::size_t i = 0; i < surveys.size(); ++i) {
      ctx_.progress(
          {Progress::Unit::operations, static_cast<double>(i), static_cast<double>(surveys.size()), surveys[i].name});
      run(surveys[i], system);
    }
    if (relabel_) relabel_at_boot(ctx_.guest());
    ctx_.guest().call({"umount-all"});  // the next stage may write
    finish();
  }

 private:
  void run(const Survey& check, const System& system) {
    Findings found = check.look(system);
    if (params_.fix && check.mend != nullptr && std::ranges::any_of(found, &Finding::mendable)) {
      mend(check, system);
      found = check.look(system);
    }
    tell(std::move(found));
  }

  /// What cannot be mended stays a finding. What may be half mended must not be published.
  void mend(const Survey& check, const System& system) {
    try {
      const Mended mended = check.mend(system);
      for (const Finding& done : mended.done) ctx_.found(done);
      for (const Finding& note : mended.not_done) ctx_.found(note);
      mended_ += mended.done.size();
      relabel_ = relabel_ || (!mended.done.empty() && mended.writes_labels);
    } catch (const Error& error) {
      if (is_cancelled(error)) throw;
      throw Error("mending the " + check.name + " failed: " + error.what(),
                  "the disk may be half mended: mend it in the machine, or go on without fix (--fix)",
                  error.evidence());
    }
  }

  void tell(Findings findings) {
    for (Finding& finding : findings) {
      judge(profile_, finding);
      ctx_.found(finding);
      all_.push_back(std::move(finding));
    }
  }

  void finish() {
    const std::string codes = codes_of(all_, Severity::note);
    ctx_.facts()["preflight.profile"] = profile_.name;
    ctx_.facts()["preflight.findings"] = codes;
    const auto stops = [&](const Finding& f) {
      return f.severity == Severity::security || (f.severity == Severity::error && !params_.force);
    };
    if (std::ranges::any_of(all_, stops)) throw refusal();
    ctx_.summary((mended_ > 0 ? std::to_string(mended_) + " mended, " : "") + std::to_string(all_.size()) +
                 (all_.size() == 1 ? " finding" : " findings") + (codes.empty() ? "" : ": " + codes));
  }

  /// One error for all of them, under the name of the worst.
  Error refusal() const {
    const Severity least = params_.force ? Severity::security : Severity::error;
    const auto worst = std::ranges::max_element(all_, {}, &Finding::severity);
    std::vector<std::string> evidence;
    bool help = false;
    for (const Finding& finding : all_) {
      if (finding.severity < least) continue;
      evidence.push_back(finding.code + ": " + finding.what);
      help = help || finding.mendable;
    }
    std::string hint = "mend what was found";
    if (help && !params_.fix) hint += ", some of which fix = true (--fix) does";
    if (worst->severity < Severity::security) hint += ", or go on with force = true (--force)";
    return refused("the disk does not meet profile \"" + profile_.name + "\": " + codes_of(all_, least), hint, evidence)
        .as(worst->code);
  }

  Context& ctx_;
  const Params& params_;
  Profile profile_;
  Findings all_;
  std::size_t mended_ = 0;
  bool relabel_ = false;
};

class Preflight final : public StageOf<Params> {
 public:
  Preflight()
      : StageOf(
            {.name = "preflight", .summary = "Find what would keep the system on a disk from starting elsewhere."},
            {{"profile", &Params::profile,
              "Whose rules it has to meet: a name such as \"tencent\", or the path of a file."},
             {"fix", &Params::fix, "Mend what kiln can mend. What is found afterwards counts."},
             {"force", &Params::force, "Go on in spite of errors. Findings of security end the run nevertheless."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    try {
      read_profile(profile_file(p.profile));
    } catch (const Error& error) {
      c.problem("profile", error.what(), error.hint());
    }
  }

  /// Other rules, other findings.
  std::string fingerprint(const Params& p) const override {
    try {
      return to_hex(sha256(read_text(profile_file(p.profile), 1u << 20)));
    } catch (const Error&) {
      return "unreadable";
    }
  }

  void run(Context& ctx, const Params& p) const override { Look(ctx, p).run(); }
};

}  // namespace
}  // namespace kiln::preflight

KILN_STAGE(kiln::preflight::Preflight)

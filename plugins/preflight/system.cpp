#include "system.h"

#include <kiln/text.h>

#include "devices.h"
#include "text.h"

namespace kiln::preflight {
namespace {

Finding no_root(std::vector<std::string> evidence) {
  return {.code = std::string(code::no_root),
          .severity = Severity::warning,
          .what = "no operating system was found on the disk",
          .evidence = std::move(evidence),
          .hint =
              "is it a data disk, an installer, or a disk that only boots another one? export the machine's system "
              "disk"};
}

/// The first of them, printable.
std::vector<std::string> shown(const std::vector<std::string>& all) {
  std::vector<std::string> out;
  for (const std::string& one : all)
    if (out.size() < 8) out.push_back(printable(one, 200));
  return out;
}

}  // namespace

Findings look_at_disk(Guest& g, Facts& os, bool read_only) {
  const std::vector<std::string> file_systems = g.filesystems();
  Findings out;
  bool any = false;
  for (const std::string& pair : file_systems) {
    any = any || !pair.ends_with(" unknown");
    if (pair.ends_with(" crypto_LUKS") || pair.ends_with(" BitLocker"))
      out.push_back({.code = std::string(code::encrypted),
                     .severity = Severity::warning,
                     .what = "a file system is encrypted, so nothing is known of what it holds",
                     .evidence = shown({pair}),
                     .hint = "decrypt it before it is exported"});
  }
  if (!any && words_of(g.call({"list-partitions"})).empty())
    out.push_back({.code = std::string(code::no_partition),
                   .severity = Severity::warning,
                   .what = "the disk has neither a partition nor a file system",
                   .evidence = file_systems.empty() ? std::vector<std::string>{"/dev/sda: nothing was found"}
                                                    : shown(file_systems),
                   .hint = "export the machine's system disk, whole"});
  try {
    g.call({"umount-all"});  // what somebody has mounted by hand is in the inspection's way
    os = g.os();
    if (os.empty())
      out.push_back(no_root(shown(file_systems)));
    else
      mount_system(g, read_only);
  } catch (const Error& error) {  // several systems, or a root file system that cannot be mounted
    if (is_cancelled(error)) throw;
    os.clear();
    Finding finding = no_root(error.evidence());
    finding.what = error.what();
    finding.hint = error.hint();
    out.push_back(std::move(finding));
  }
  return out;
}

}  // namespace kiln::preflight

#include "cli/guest_diff.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <kiln/text.h>
#include <kiln/value.h>

namespace kiln::cli {
namespace {

using Named = std::map<std::string, std::string>;

std::vector<NamedChange> differences(const Named& before, const Named& after) {
  std::vector<NamedChange> changes;
  for (const auto& [name, value] : before) {
    const auto other = after.find(name);
    if (other == after.end())
      changes.push_back({name, value, ""});
    else if (other->second != value)
      changes.push_back({name, value, other->second});
  }
  for (const auto& [name, value] : after)
    if (!before.contains(name)) changes.push_back({name, "", value});
  std::ranges::sort(changes, {}, &NamedChange::name);
  return changes;
}

Named packages_of(const GuestView& view) {
  std::map<std::string, std::vector<std::string>> arches;
  for (const ViewedPackage& p : view.packages)
    if (auto& known = arches[p.name]; std::ranges::find(known, p.arch) == known.end()) known.push_back(p.arch);
  Named all;
  for (const ViewedPackage& p : view.packages) {
    // Several of one name are there for several architectures, or, with rpm, in several versions.
    std::string& versions = all[arches[p.name].size() > 1 ? p.name + ":" + p.arch : p.name];
    versions += (versions.empty() ? "" : ", ") + p.version;
  }
  return all;
}

Named partitions_of(const GuestView& view) {
  Named all;
  if (!view.table.empty()) all["table"] = view.table;
  for (const ViewedPartition& p : view.partitions)
    all[std::to_string(p.number)] =
        fmt::format("{} at {}, type {}, {}{}{}", format_bytes(p.last + 1 - p.first), format_bytes(p.first), p.type,
                    p.filesystem.empty() ? "no file system" : p.filesystem, p.label.empty() ? "" : ", label " + p.label,
                    p.uuid.empty() ? "" : ", " + p.uuid);
  return all;
}

/// A kernel is there when its modules are.
Named kernels_of(const GuestView& view) {
  Named all;
  for (const ViewedFile& file : view.files)
    for (const std::string_view folder : {"/lib/modules/", "/usr/lib/modules/"})
      if (file.is_folder() && file.path.starts_with(folder) && file.path.find('/', folder.size()) == std::string::npos)
        all[printable(file.path.substr(folder.size()), 100)] = "there";
  return all;
}

Named system_of(const GuestView& view) {
  return {view.os.begin(), view.os.end()};
}

bool untouched(const ViewedFile& a, const ViewedFile& b) {
  return a.inode == b.inode && a.size == b.size && a.modified == b.modified && a.changed == b.changed;
}

FileChange compare(const ViewedFile& a, const ViewedFile& b, bool thorough) {
  FileChange change{.before = &a, .after = &b};
  if (((a.mode ^ b.mode) & 0170000) != 0) {
    change.what.emplace_back("kind");
    return change;
  }
  if (((a.mode ^ b.mode) & 07777) != 0) change.what.emplace_back("mode");
  if (a.uid != b.uid || a.gid != b.gid) change.what.emplace_back("owner");
  if (a.is_link() && a.target != b.target) change.what.emplace_back("target");
  if (a.is_regular() && a.size != b.size) change.what.emplace_back("size");
  change.unsure = a.is_regular() && (a.size != b.size || (a.size > 0 && (thorough || !untouched(a, b))));
  return change;
}

}  // namespace

GuestDiff compare(const GuestView& before, const GuestView& after, bool thorough) {
  GuestDiff diff{.system = differences(system_of(before), system_of(after)),
                 .partitions = differences(partitions_of(before), partitions_of(after)),
                 .kernels = differences(kernels_of(before), kernels_of(after)),
                 .packages = differences(packages_of(before), packages_of(after)),
                 .added = {},
                 .removed = {},
                 .changed = {}};
  auto a = before.files.begin(), b = after.files.begin();
  while (a != before.files.end() || b != after.files.end()) {
    const int order = a == before.files.end() ? 1 : b == after.files.end() ? -1 : a->path.compare(b->path);
    if (order < 0) {
      diff.removed.push_back({.before = &*a++, .after = nullptr});
    } else if (order > 0) {
      diff.added.push_back({.before = nullptr, .after = &*b++});
    } else {
      FileChange change = compare(*a++, *b++, thorough);
      if (change.unsure || !change.what.empty()) diff.changed.push_back(std::move(change));
    }
  }
  return diff;
}

std::string mode_text(std::uint32_t mode) {
  static constexpr std::string_view kinds = "?pc?d?b?-?l?s???";
  std::string text(1, kinds[mode >> 12 & 15]);
  for (int shift = 6; shift >= 0; shift -= 3)
    for (int bit = 2; bit >= 0; --bit) text += (mode >> (shift + bit) & 1) != 0 ? "xwr"[bit] : '-';
  if ((mode & 04000) != 0) text[3] = text[3] == 'x' ? 's' : 'S';
  if ((mode & 02000) != 0) text[6] = text[6] == 'x' ? 's' : 'S';
  if ((mode & 01000) != 0) text[9] = text[9] == 'x' ? 't' : 'T';
  return text;
}

}  // namespace kiln::cli

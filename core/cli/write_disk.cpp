#include "cli/write_disk.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <kiln/file.h>

namespace kiln::cli {
namespace {

PassResult fill(BlockSink& sink, const BlockReader& from, const Manifest* known, const WriteDisk& how) {
  const std::array<BlockSink*, 1> sinks{&sink};
  const PassResult result = pump(
      from, sinks, {.stop = how.stop, .progress = how.progress, .known = known, .known_is_whole = known != nullptr});
  sink.finish();
  return result;
}

PassResult write_package(const std::filesystem::path& file, const WriteDisk& how) {
  std::vector<std::uint64_t> sizes{how.from.size()};
  for (const RestOfMachine::Disk& disk : how.rest.disks) sizes.push_back(disk.from->size());
  const auto package = how.format.pack_with(file, sizes, how.rest.known, how.options);
  const PassResult result = fill(package->next_disk(), how.from, how.known, how);
  for (const RestOfMachine::Disk& disk : how.rest.disks) (void)fill(package->next_disk(), *disk.from, &disk.known, how);
  package->finish([&](std::uint64_t done, std::uint64_t total) {
    if (how.stop.stop_requested()) throw cancelled();
    if (how.progress) how.progress(done, total);
  });
  return result;
}

}  // namespace

PassResult write_disk(const std::filesystem::path& target, const WriteDisk& how) {
  PendingFile pending(target);
  pending.remove_abandoned();
  const PassResult result =
      how.format.is_package()
          ? write_package(pending.path(), how)
          : fill(*how.format.create_with(pending.path(), how.from.size(), how.options), how.from, how.known, how);
  if (how.as_base) {
    File::open_write(pending.path()).sync();
    using std::filesystem::perms;
    std::filesystem::permissions(pending.path(), perms::owner_read | perms::group_read | perms::others_read);
  }
  pending.commit(false);
  if (how.as_base) sync_directory(target.parent_path());
  return result;
}

Table format_options(const std::vector<std::pair<std::string, std::string>>& given, const Format& format) {
  Table texts;
  for (const auto& [key, value] : given) texts[key] = Value{value};
  Problems problems;
  Table options = typed(texts, format.about().params, problems);
  if (problems.empty()) return options;
  std::vector<std::string> evidence;
  for (std::size_t i = 1; i < problems.size(); ++i) evidence.push_back(problems[i].what);
  const std::string see = "see kiln plugin info " + format.about().name;
  throw invalid(fmt::format("format {}: {}", format.about().name, problems.front().what),
                problems.front().hint.empty() ? see : problems.front().hint, evidence);
}

}  // namespace kiln::cli

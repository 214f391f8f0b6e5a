#include "cli/write_disk.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <kiln/file.h>

#include "disk/manifest.h"

namespace kiln::cli {

PassResult write_disk(const std::filesystem::path& target, const WriteDisk& how) {
  PendingFile pending(target);
  pending.remove_abandoned();
  const auto sink = how.format.create_with(pending.path(), how.from.size(), how.options);
  const std::array<BlockSink*, 1> sinks{sink.get()};
  const PassOptions options{
      .stop = how.stop, .progress = how.progress, .known = how.known, .known_is_whole = how.known != nullptr};
  const PassResult result = pump(how.from, sinks, options);
  sink->finish();
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

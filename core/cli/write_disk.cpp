#include "cli/write_disk.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <kiln/file.h>

#include "disk/manifest.h"

namespace kiln::cli {

PassResult write_disk(const std::filesystem::path& target, const WriteDisk& how) {
  PendingFile pending(target);
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

const Format& format_for(const std::filesystem::path& file, const std::string& named, const Formats& formats) {
  if (!named.empty()) return formats.get(named);
  std::string extension = file.extension().string();
  if (!extension.empty()) extension.erase(0, 1);
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  std::string choices;
  for (const std::string& name : formats.names()) {
    if (name == extension) return formats.get(name);
    choices += (choices.empty() ? "" : ", ") + name;
  }
  // The usual case needs one plugin; only an unusual extension makes every format say which ones are its.
  for (const std::string& name : formats.names()) {
    const auto& own = formats.get(name).about().extensions;
    if (std::find(own.begin(), own.end(), extension) != own.end()) return formats.get(name);
  }
  throw invalid(fmt::format("the name \"{}\" does not tell which format to write", file.string()),
                "name the format, one of: " + choices);
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

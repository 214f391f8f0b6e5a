#include <kiln/format.h>

#include <algorithm>

namespace kiln {

Package::~Package() = default;

std::unique_ptr<Package> Format::pack_with(const std::filesystem::path&, const std::vector<std::uint64_t>&,
                                           const Facts&, const Table&) const {
  throw Error("a file of format " + about().name + " is one disk and no machine");
}

const Format& format_for(const Formats& formats, const std::filesystem::path& file, std::string_view named) {
  if (!named.empty()) return formats.get(named);
  std::string ending = file.extension().string();
  if (!ending.empty()) ending.erase(0, 1);
  std::ranges::transform(ending, ending.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const std::vector<std::string> names = formats.names();
  // The usual case needs one plugin; only an unusual ending makes every format say which ones are its.
  if (std::ranges::find(names, ending) != names.end()) return formats.get(ending);
  std::string choices;
  for (const std::string& name : names) try {
      const Format& format = formats.get(name);
      const std::vector<std::string>& own = format.about().extensions;
      if (std::ranges::find(own, ending) != own.end()) return format;
      choices += (choices.empty() ? "" : ", ") + name;
    } catch (const Error&) {  // a plugin that does not load is no choice
    }
  throw invalid("the name \"" + file.filename().string() + "\" does not tell which format to write",
                "name the format, one of: " + choices);
}

}  // namespace kiln

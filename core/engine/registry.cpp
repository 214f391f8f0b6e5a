#include "engine/registry.h"

#include <dlfcn.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include <kiln/file.h>
#include <kiln/layout.h>
#include <kiln/plugin.h>

#include "engine/foreign_format.h"
#include "engine/signatures.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;
using Name = std::pair<PluginKind, std::string>;

constexpr std::string_view prefixes[] = {"kiln-stage-", "kiln-format-"};
constexpr std::string_view words[] = {"stage", "format"};

std::optional<Name> parse_name(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.ends_with(".so")) return std::nullopt;
  for (const PluginKind kind : {PluginKind::stage, PluginKind::format}) {
    const std::string_view prefix = prefixes[static_cast<std::size_t>(kind)];
    if (name.starts_with(prefix) && name.size() > prefix.size() + 3)
      return Name{kind, name.substr(prefix.size(), name.size() - prefix.size() - 3)};
  }
  return std::nullopt;
}

std::string listing(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "none" : out;
}

/// Boost says "…load() failed (dlerror system message: REASON): Bad file descriptor"; only REASON is of use.
std::string reason_of(const std::system_error& error) {
  const std::string text = error.what();
  static constexpr std::string_view mark = "dlerror system message: ";
  const auto start = text.find(mark);
  const auto end = text.rfind(')');
  if (start == std::string::npos || end == std::string::npos || end < start) return text;
  return text.substr(start + mark.size(), end - start - mark.size());
}

const Entry& entry_of(const fs::path& file) {
  namespace load_mode = boost::dll::load_mode;
  try {
    const boost::dll::shared_library library(file, load_mode::rtld_now | load_mode::rtld_local);
    // Objects and exceptions of a plugin may live until the process ends, and so must its code.
    ::dlopen(file.c_str(), RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    const Entry* entry = library.get<const Entry*()>("kiln_plugin")();
    if (entry == nullptr) throw Error("plugin " + file.string() + " has no entry", "tell the plugin's author");
    return *entry;
  } catch (const std::system_error& error) {
    throw Error("cannot load plugin " + file.string(), "build it again against this kiln, or remove the file",
                {reason_of(error)});
  }
}

void require_same_build(const Entry& entry, const fs::path& file) {
  static constexpr const char* hint = "build it again against this kiln, or remove the file";
  if (entry.abi != abi)
    throw Error(
        "plugin " + file.string() + " has ABI " + std::to_string(entry.abi) + ", this kiln has " + std::to_string(abi),
        hint);
  if (entry.toolchain == nullptr || std::string_view(entry.toolchain) != toolchain)
    throw Error("plugin " + file.string() + " was built with " + (entry.toolchain != nullptr ? entry.toolchain : "?") +
                    ", this kiln with " + toolchain,
                hint);
}

}  // namespace

Plugin load_plugin(const fs::path& file) {
  const auto name = parse_name(file);
  if (!name)
    throw invalid(file.string() + " is not named like a plugin", "kiln-stage-NAME.so and kiln-format-NAME.so are");
  std::error_code error;
  if (!fs::exists(file, error))
    throw invalid("there is no file " + file.string(), "give the path of a plugin, such as kiln-stage-NAME.so");
  Plugin plugin{.kind = name->first, .name = name->second, .file = fs::absolute(file)};
  const Entry& entry = entry_of(plugin.file);
  require_same_build(entry, plugin.file);
  if (plugin.kind == PluginKind::stage) plugin.stage = entry.stage;
  if (plugin.kind == PluginKind::format) plugin.format = entry.format;
  if (plugin.stage == nullptr && plugin.format == nullptr)
    throw Error("plugin " + file.string() + " holds no " + std::string(words[static_cast<std::size_t>(plugin.kind)]),
                "rename the file to what it holds");
  if (plugin.about().name != plugin.name)
    throw Error("plugin " + file.string() + " calls itself \"" + plugin.about().name + '"',
                "the file name and the name in the code must be the same");
  return plugin;
}

struct Registry::State {
  std::vector<fs::path> folders;
  std::map<Name, fs::path> files;
  std::mutex mutex;
  std::map<Name, Plugin> loaded;
  bool sandboxed = true;
  std::stop_token stop;
  std::deque<ForeignFormat> foreign;  // in place of the formats that QEMU reads

  const Plugin& load(const Name& name) {
    const std::lock_guard lock(mutex);
    if (const auto it = loaded.find(name); it != loaded.end()) return it->second;
    Plugin plugin{.kind = name.first, .name = name.second, .file = files.at(name)};
    try {
      plugin = load_plugin(files.at(name));
      if (plugin.format != nullptr && !plugin.format->qemu_driver().empty())
        plugin.format = &foreign.emplace_back(*plugin.format, sandboxed, stop);
    } catch (const Error& error) {
      plugin.error = error;
    }
    return loaded.emplace(name, std::move(plugin)).first->second;
  }

  std::vector<std::string> names(PluginKind kind) const {
    std::vector<std::string> out;
    for (const auto& [name, file] : files)
      if (name.first == kind) out.push_back(name.second);
    return out;
  }

  const Plugin& get(PluginKind kind, std::string_view name) {
    const Name key{kind, std::string(name)};
    if (!files.contains(key)) {
      const std::string word(words[static_cast<std::size_t>(kind)]);
      const auto near = nearest(name, names(kind));
      throw invalid("there is no " + word + " \"" + key.second + '"',
                    near ? "did you mean \"" + *near + "\"?" : "installed: " + listing(names(kind)));
    }
    const Plugin& plugin = load(key);
    if (plugin.error) throw Error(*plugin.error);
    return plugin;
  }
};

Registry::Registry(std::vector<fs::path> folders, bool sandboxed, std::stop_token stop)
    : state_(std::make_unique<State>()) {
  state_->sandboxed = sandboxed;
  state_->stop = std::move(stop);
  state_->folders = std::move(folders);
  for (const fs::path& folder : state_->folders) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error))
      if (const auto name = parse_name(entry.path())) state_->files.try_emplace(*name, entry.path());
  }
}

Registry::~Registry() = default;

const Stage& Registry::stage(std::string_view name) const {
  return *state_->get(PluginKind::stage, name).stage;
}

const Format& Registry::get(std::string_view name) const {
  return *state_->get(PluginKind::format, name).format;
}

const Format& Registry::detect(const File& file) const {
  constexpr std::size_t most = 64 * 1024;
  const std::string name_of_file = file.path().string();
  const std::uint64_t size = file.size();
  std::vector<std::byte> head(std::min<std::uint64_t>(size, most)), tail(head.size());
  file.read_at(0, head);
  file.read_at(size - tail.size(), tail);
  const Glimpse glimpse{head, tail, size};

  std::vector<const Format*> sure, weak;
  std::optional<Error> broken;  // a plugin that does not load might have known the file
  for (const std::string& name : names()) try {
      const Format& format = get(name);
      const Match match = format.probe(glimpse);
      if (match == Match::yes) sure.push_back(&format);
      if (match == Match::weak) weak.push_back(&format);
    } catch (const Error& error) {
      broken = error;
    }
  if (sure.empty() && broken) throw Error(*broken);
  if (const std::string_view other = known_container(glimpse); sure.empty() && !other.empty())
    throw invalid(name_of_file + " is " + std::string(other) + ", which no installed format reads",
                  "unpack or convert it first; if it really is a disk of another format, force that one",
                  {"installed formats: " + listing(names())})
        .as(code::unknown_format);
  const std::vector<const Format*>& found = sure.empty() ? weak : sure;
  if (sure.empty() && found.size() == 1) require_disk(*found.front()->open(file.again()), name_of_file);
  if (found.size() == 1) return *found.front();
  if (found.empty())
    throw invalid(name_of_file + " is in no format that is installed", "installed: " + listing(names()))
        .as(code::unknown_format);
  std::vector<std::string> all;
  for (const Format* format : found) all.push_back(format->about().name);
  throw refused(name_of_file + " could be more than one format: " + listing(all),
                "say which it is with format = \"" + all.front() + '"')
      .as(code::ambiguous_format);
}

std::vector<std::string> Registry::names() const {
  return state_->names(PluginKind::format);
}

std::vector<std::string> Registry::stage_names() const {
  return state_->names(PluginKind::stage);
}

std::vector<Plugin> Registry::all() const {
  std::vector<Plugin> out;
  for (const auto& [name, file] : state_->files) out.push_back(state_->load(name));
  return out;
}

const std::vector<fs::path>& Registry::folders() const {
  return state_->folders;
}

std::vector<fs::path> plugin_folders(const std::vector<fs::path>& given, const fs::path& program) {
  std::vector<fs::path> out = given;
  if (const char* path = std::getenv("KILN_PLUGIN_PATH")) {
    for (std::string_view rest = path; !rest.empty();) {
      const auto colon = std::min(rest.find(':'), rest.size());
      if (colon > 0) out.emplace_back(rest.substr(0, colon));
      rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
  }
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (data != nullptr && *data == '/') {
    out.push_back(fs::path(data) / "kiln/plugins");
  } else if (home != nullptr && *home == '/') {
    out.push_back(fs::path(home) / ".local/share/kiln/plugins");
  }
  const fs::path prefix = program.parent_path().parent_path();
  out.push_back(prefix / "lib/kiln/plugins");
  out.push_back(prefix / "lib64/kiln/plugins");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(prefix / "lib", error))  // Debian: lib/x86_64-linux-gnu
    if (fs::is_directory(entry.path() / "kiln/plugins", error)) out.push_back(entry.path() / "kiln/plugins");
  return out;
}

}  // namespace kiln::engine

#pragma once
// The plugins. A file named kiln-stage-<name>.so or kiln-format-<name>.so in one of a list of folders is a plugin: the
// file name is the registry, the earlier folder wins, and nothing is loaded before it is asked for.

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/format.h>
#include <kiln/stage.h>

namespace kiln::engine {

enum class PluginKind { stage, format };

/// One plugin file. Exactly one of `stage` and `format` is set when it could be loaded; otherwise `error` says why not.
struct Plugin {
  PluginKind kind = PluginKind::stage;
  std::string name;
  std::filesystem::path file;
  const Stage* stage = nullptr;
  const Format* format = nullptr;
  std::optional<Error> error = {};

  const About& about() const { return stage != nullptr ? stage->about() : format->about(); }  ///< loaded ones only
};

/// Any thread may call any function. Loaded libraries stay for the life of the process, also after the registry is
/// gone.
class Registry final : public Formats {
 public:
  /// Folders that do not exist are skipped. `sandboxed`: whether QEMU reads what is left to it in the sandbox; `stop`:
  /// ends the waiting for it.
  explicit Registry(std::vector<std::filesystem::path> folders, bool sandboxed = true, std::stop_token stop = {});
  ~Registry();

  /// Throws invalid() with the nearest name when there is none, and Error naming the file when it cannot be loaded.
  const Stage& stage(std::string_view name) const;
  const Format& get(std::string_view name) const override;
  using Formats::detect;
  const Format& detect(const File&) const override;
  std::vector<std::string> names() const override;  ///< of the formats, sorted
  std::vector<std::string> stage_names() const;     ///< sorted

  /// Every plugin, loaded, the stages first, each kind by name.
  std::vector<Plugin> all() const;
  const std::vector<std::filesystem::path>& folders() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Loads one plugin file, whatever its folder. Throws Error with both values when it was built for another kiln.
Plugin load_plugin(const std::filesystem::path& file);

/// The folders in their order: those given, $KILN_PLUGIN_PATH (separated by colons), the user's, the install's
/// (<prefix>/lib*/kiln/plugins beside `program`).
std::vector<std::filesystem::path> plugin_folders(const std::vector<std::filesystem::path>& given,
                                                  const std::filesystem::path& program);

}  // namespace kiln::engine

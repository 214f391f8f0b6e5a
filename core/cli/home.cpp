#include "cli/home.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include <kiln/error.h>
#include <kiln/file.h>

#include "catalog/store.h"

namespace kiln::cli {
namespace {

/// An environment variable that names a folder; relative ones are ignored, as the XDG base directory specification
/// asks.
std::filesystem::path folder_in(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value != '/') return {};
  return value;
}

std::filesystem::path user_home() {
  if (auto home = folder_in("HOME"); !home.empty()) return home;
  const passwd* entry = ::getpwuid(::getuid());
  if (entry == nullptr || entry->pw_dir == nullptr)
    throw Error("cannot tell where to keep images: neither KILN_HOME nor HOME is set", "export KILN_HOME=/some/folder");
  return entry->pw_dir;
}

/// Two kilns that make it at the same time get the same one.
std::string id_in(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    const std::string id = random_id();
    const std::filesystem::path made = file.string() + "." + id;
    write_text(made, id.substr(0, 8) + "\n");
    std::error_code failed;
    std::filesystem::create_hard_link(made, file, failed);
    if (failed && !std::filesystem::exists(file))
      std::filesystem::rename(made, file);  // a file system without hard links
    else
      std::filesystem::remove(made);
  }
  std::string id = read_text(file);
  while (id.ends_with('\n')) id.pop_back();
  return id;
}

}  // namespace

Home Home::of_environment() {
  const char* given = std::getenv("KILN_HOME");
  if (given != nullptr && *given != '\0') return Home(std::filesystem::absolute(given).lexically_normal());
  if (const auto data = folder_in("XDG_DATA_HOME"); !data.empty()) return Home(data / "kiln");
  return Home(user_home() / ".local/share/kiln");
}

std::string Home::place() const {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return std::string(host.data()) + ":" + std::filesystem::canonical(root_).string() + "#" + id_in(root_ / "home.id");
}

void Home::create() const {
  std::error_code failed;
  std::filesystem::create_directories(root_.parent_path(), failed);
  if (failed)
    throw system_error("cannot create " + root_.parent_path().string(), failed.value(),
                       "set KILN_HOME to a folder that you may write to");
  if (::mkdir(root_.c_str(), 0700) != 0 && errno != EEXIST)
    throw system_error("cannot create " + root_.string(), errno, "set KILN_HOME to a folder that you may write to");
  if (::access(root_.c_str(), W_OK | X_OK) != 0)
    throw system_error("cannot write to " + root_.string(), errno, "set KILN_HOME to a folder that you may write to");
}

}  // namespace kiln::cli

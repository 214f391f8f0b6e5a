#pragma once
// The folder that kiln keeps everything in, and what lies where in it.

#include <filesystem>
#include <string>

namespace kiln::cli {

/// Immutable. Making one creates nothing; create() does, readable by nobody else: images hold other people's secrets.
class Home {
 public:
  explicit Home(std::filesystem::path root) : root_(std::move(root)) {}
  /// $KILN_HOME, else $XDG_DATA_HOME/kiln, else ~/.local/share/kiln. Always absolute.
  static Home of_environment();

  /// Makes the folder, mode 0700, when it is not there. Throws Error when it cannot be, or belongs to somebody else.
  void create() const;

  const std::filesystem::path& root() const { return root_; }
  /// Its name among the homes that use one catalog: "host:/folder#1a2b3c4d". The digits are in a file of the home, made
  /// when they are first asked for, and tell homes of hosts apart that have the same name.
  std::string place() const;
  std::filesystem::path config() const { return root_ / "config.toml"; }
  std::filesystem::path keys() const { return root_ / "keys"; }           ///< to sign with, and trusted ones
  std::filesystem::path policy() const { return root_ / "policy.toml"; }  ///< which images of others may run
  std::filesystem::path catalog() const { return root_ / "catalog"; }
  std::filesystem::path instances() const { return root_ / "instances"; }
  /// What is kept of a region that is a bucket.
  std::filesystem::path region(const std::string& name) const { return root_ / "regions" / name; }
  std::filesystem::path bases() const { return root_ / "bases"; }    ///< images as files, for overlays to stand on
  std::filesystem::path layers() const { return root_ / "layers"; }  ///< sealed results of stages

 private:
  std::filesystem::path root_;
};

}  // namespace kiln::cli

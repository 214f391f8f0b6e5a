#pragma once
// The real program, run as a user runs it, in a home of its own.

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "support/temp.h"

namespace kiln::test {

/// What a kiln said and how it ended.
struct Answer {
  int status = -1;  ///< exit code; 128 + signal when killed
  std::string out, err;
};

/// One home and one working folder, both gone with it. Every call is a process of its own.
class Program {
 public:
  Program();

  Answer operator()(const std::vector<std::string>& args) const { return wait(start(args)); }
  /// With a terminal of `columns` as standard error and output; what it drew is in `out`.
  Answer on_terminal(const std::vector<std::string>& args, unsigned short columns = 100) const;

  /// A kiln that runs beside the test.
  struct Running {
    pid_t pid = 0;
    std::filesystem::path out, err;
  };
  Running start(const std::vector<std::string>& args) const;
  Answer wait(const Running&) const;
  /// How many live processes, machines and appliances among them, have the home or the folder in their command line.
  int processes() const;
  /// Whether there are none any more, within five seconds.
  bool processes_end() const;

  const std::filesystem::path& folder() const { return folder_.path(); }  ///< where it runs
  std::filesystem::path home() const { return folder_ / "home"; }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
  /// Writes a file into the working folder.
  std::filesystem::path write(const std::string& name, const std::string& text) const;
  /// A raw disk of `mib`, with seeded data in a third of it.
  std::filesystem::path raw_disk(const std::string& name, unsigned mib = 4, unsigned seed = 1) const;

  std::map<std::string, std::string> environment;  ///< added to, and replacing, the test's own; empty value: unset
  std::filesystem::path input = "/dev/null";       ///< what its standard input is
  std::string binary;                              ///< this build's kiln, unless changed

 private:
  std::vector<std::string> full_environment() const;
  TempDir folder_;
  mutable int count_ = 0;
};

/// Files below `folder`, relative and sorted, without the names that match `except` as a prefix.
std::vector<std::string> files_below(const std::filesystem::path& folder, const std::vector<std::string>& except = {});

}  // namespace kiln::test

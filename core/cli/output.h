#pragma once
// Where a verb's answer goes: standard output, as text for people or as one JSON object for programs.

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "cli/terminal.h"

namespace kiln::cli {

/// Keeps its keys in the order of writing, so that answers read the same every time.
using Json = nlohmann::ordered_json;

/// One row of cells under each heading. Aligned, without a frame; columns whose heading starts with '>' are set right.
struct TextTable {
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows = {};
};

/// Owned by main, used by one thread. Borrows the stream.
class Output {
 public:
  Output(std::FILE* stream, int fd, bool json) : stream_(stream), fd_(fd), json_(json) {}

  bool json() const { return json_; }
  Style style() const { return Style(terminal_of(fd_).live); }
  std::FILE* stream() const { return stream_; }

  void line(std::string_view text = "");
  void table(TextTable);
  /// On one line; invalid UTF-8 (file names may be anything) becomes U+FFFD.
  void object(const Json&);
  /// Bytes as they are: what a guest wrote, when it is piped on.
  void raw(std::string_view bytes);
  /// Throws Error when what was written did not get there: a full disk behind a redirection.
  void flush();

 private:
  std::FILE* stream_;
  int fd_;
  bool json_;
};

/// "2 min", "5 h", "40 d": how long ago an ISO 8601 UTC time was. The text itself when it is none.
std::string age_of(const std::string& iso_time);
/// The same of a time span.
std::string span_text(std::int64_t seconds);
/// 29114 → "29 114".
std::string grouped(std::uint64_t number);

}  // namespace kiln::cli

#pragma once
// What a guest writes to its serial console: looked through as it comes, and explained when it is all there is.

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// Looks for a text in a stream that comes in pieces. Terminal escapes and carriage returns do not count, so a text is
/// found across colours and cursor moves.
class SerialWatch {
 public:
  static constexpr std::size_t kept_lines = 40;

  /// An empty text is never found.
  explicit SerialWatch(std::string expected) : expected_(std::move(expected)) {}

  void feed(std::string_view bytes);
  bool found() const noexcept { return found_; }
  /// The line in which the text ended, as far as it was written then.
  const std::string& found_line() const noexcept { return found_line_; }
  /// The last lines, the unfinished one too, without escapes; each cut at 400 bytes.
  std::vector<std::string> tail() const;
  std::string last_line() const;  ///< the last one that is not empty
  std::uint64_t lines() const noexcept { return lines_; }

 private:
  enum class State { text, escape, csi, osc, osc_escape };
  bool is_text(char c);
  void take(char c);

  std::string expected_, window_, line_, found_line_;
  std::deque<std::string> kept_;
  std::uint64_t lines_ = 0;
  State state_ = State::text;
  bool found_ = false;
};

/// Reads what was added to a file since the last call.
class LogTail {
 public:
  explicit LogTail(std::filesystem::path path, std::uint64_t from = 0) : path_(std::move(path)), offset_(from) {}
  std::string next();  ///< empty: nothing new, or no file yet

 private:
  std::filesystem::path path_;
  std::uint64_t offset_;
};

/// What is at the end of a log, as SerialWatch::tail().
std::vector<std::string> last_lines(const std::filesystem::path& log);
/// The same of QEMU's own log. It repeats the argument that it complains about, and says why behind it: a description
/// of a disk, which would fill the line, is left out.
std::vector<std::string> last_words(const std::filesystem::path& log);

/// What is wrong, as far as the last lines tell.
struct BootProblem {
  std::string fact, hint;
  bool final = false;  ///< nothing more will come: waiting is no use
};

/// Recognises the usual ends of a boot: no boot loader, no root file system, a panic, silence. The fact is empty when
/// none is recognised; the hint never is.
BootProblem explain_boot(const SerialWatch&);

}  // namespace kiln

#pragma once
// What kind of terminal, if any, is at the other end of a stream, and how text is laid out on one.

#include <string>
#include <string_view>

#include <kiln/text.h>

namespace kiln::cli {

/// Colour and redrawing are one decision: a terminal that can do them, and no NO_COLOR in the environment.
struct Terminal {
  bool live = false;
  unsigned columns = 100;  ///< of the window now; 100 where there is none
};
/// Asks the kernel anew at each call: windows are resized while a build runs.
Terminal terminal_of(int fd);

/// Columns that UTF-8 text takes, counting one for each code point.
std::size_t width_of(std::string_view text);
/// Cut to `columns`, with an ellipsis when something was cut.
std::string fit(std::string_view text, std::size_t columns);
/// Filled up with spaces to `columns`.
std::string pad(std::string_view text, std::size_t columns, bool right_aligned = false);

/// The escape sequences used, each empty where there is no live terminal.
struct Style {
  explicit Style(bool live)
      : bold(live ? "\x1b[1m" : ""),
        dim(live ? "\x1b[2m" : ""),
        red(live ? "\x1b[1;31m" : ""),
        green(live ? "\x1b[32m" : ""),
        yellow(live ? "\x1b[33m" : ""),
        cyan(live ? "\x1b[36m" : ""),
        reset(live ? "\x1b[0m" : "") {}
  const char *bold, *dim, *red, *green, *yellow, *cyan, *reset;
};

}  // namespace kiln::cli

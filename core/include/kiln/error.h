#pragma once
// The one exception type of kiln. Everything a user may have to read travels in it.

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Marks what a shared library of kiln exports; everything else is hidden.
#define KILN_API [[gnu::visibility("default")]]

namespace kiln {

/// Why a run ended. The program's exit code is this value's number.
enum class Failure {
  failed = 1,       ///< a stage, a program or the host failed
  invalid = 2,      ///< the pipeline or the command line is wrong
  refused = 3,      ///< policy or security says no
  cancelled = 130,  ///< the user stopped it
};

/// A failure the user can act on.
///
/// `what()` is one fact: lower case, no full stop. `hint()` says what to do next. `evidence()` holds the lines that
/// prove the fact: header fields, the last lines of a program. Copyable, so it may cross threads as an exception_ptr.
class KILN_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string hint = {}, std::vector<std::string> evidence = {},
                 Failure failure = Failure::failed);
  Error(const Error&) = default;
  Error& operator=(const Error&) = default;
  ~Error() override;  // out of line: one vtable and one type_info, in libkiln

  const std::string& hint() const noexcept { return hint_; }
  const std::vector<std::string>& evidence() const noexcept { return evidence_; }
  Failure failure() const noexcept { return failure_; }
  /// A stable name for scripts, one of <kiln/finding.h>; empty for what has none.
  const std::string& code() const noexcept { return code_; }
  /// The same error under that name.
  Error as(std::string_view code) const;

 private:
  std::string hint_;
  std::vector<std::string> evidence_;
  Failure failure_;
  std::string code_;
};

/// Shorthands for the rarer kinds. `throw refused("…", "…")`.
KILN_API Error refused(const std::string& what, std::string hint = {}, std::vector<std::string> evidence = {});
KILN_API Error invalid(const std::string& what, std::string hint = {}, std::vector<std::string> evidence = {});
KILN_API Error cancelled();
/// Whether the user wanted it so.
KILN_API bool is_cancelled(const std::exception&) noexcept;

/// `"<what>: No such file or directory"` from an errno value.
KILN_API Error system_error(const std::string& what, int errno_value, std::string hint = {});

}  // namespace kiln

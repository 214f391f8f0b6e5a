#include <kiln/finding.h>

#include <array>
#include <cstdio>

#include <kiln/file.h>
#include <kiln/text.h>

namespace kiln {

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
    case Severity::security:
      return "security";
  }
  return "";
}

Finding finding_of(const Error& error) {
  return {.code = error.code(),
          .severity = error.failure() == Failure::refused ? Severity::security : Severity::error,
          .what = error.what(),
          .evidence = error.evidence(),
          .hint = error.hint()};
}

Error damaged(const File& file, std::string evidence, std::string_view name) {
  return Error(file.path().string() + " is damaged", "get a sound copy of the file", {std::move(evidence)}).as(name);
}

Error truncated(const File& file, const std::string& what, std::uint64_t end) {
  return Error(file.path().string() + " is truncated", "get a complete copy of the file",
               {what + " ends at byte " + std::to_string(end) + ", the file at " + std::to_string(file.size())})
      .as(code::truncated);
}

std::string hex(std::uint64_t value) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string in_quotes(std::string_view text) {
  return '"' + printable(text, 200) + '"';
}

}  // namespace kiln

#include "machine/freeze.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include <kiln/text.h>

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;
constexpr std::size_t longest_line = 64u << 10, longest_words = 300;

}  // namespace

Freeze Freeze::begin(const std::filesystem::path& socket, Duration patience, Duration limit, std::stop_token stop) {
  return begin(start_keeper({"freeze", std::filesystem::absolute(socket).string(), std::to_string(patience.count()),
                             std::to_string(limit.count())}),
               patience * 2 + limit + 5s, stop);
}

Freeze Freeze::begin(Keeper keeper, Duration longest, const std::stop_token& stop) {
  Freeze freeze;
  freeze.to_ = std::move(keeper.to);
  freeze.from_ = std::move(keeper.from);
  const auto line = freeze.next_line(longest, stop);
  const json told = line ? json::parse(*line, nullptr, false) : json();
  if (told.contains("frozen")) {
    freeze.answer_ = Answer::frozen;
    freeze.file_systems_ = told.value("frozen", std::uint64_t{0});
  } else if (told.contains("refused")) {
    freeze.answer_ = Answer::refused;
    freeze.words_ = printable(told.value("refused", ""), longest_words);
  }
  return freeze;
}

Freeze::Report Freeze::thaw() {
  Report report;
  to_.reset();  // the word; one that is gone already has thawed at its limit, and said so before
  const auto line = next_line(15s, {});
  const json told = line ? json::parse(*line, nullptr, false) : json();
  if (!told.is_object()) return report;
  report.thawed = told.value("thawed", false);
  report.held = told.value("by", "") == "word";
  report.frozen = Duration(told.value("ms", std::int64_t{0}));
  report.words = printable(told.value("words", ""), longest_words);
  return report;
}

/// Nothing when it did not come in time, or cannot come any longer.
std::optional<std::string> Freeze::next_line(Duration limit, const std::stop_token& stop) {
  std::array<char, 4096> bytes;
  for (const auto until = Clock::now() + limit; Clock::now() < until;) {
    if (const std::size_t end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    if (stop.stop_requested()) throw cancelled();
    if (read_.size() > longest_line) return std::nullopt;
    pollfd p{from_.get(), POLLIN, 0};
    if (::poll(&p, 1, 50) <= 0) continue;
    const ssize_t n = ::read(from_.get(), bytes.data(), bytes.size());
    if (n > 0) read_.append(bytes.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace kiln

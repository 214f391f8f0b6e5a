#include "engine/run_state.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <kiln/file.h>

namespace kiln::engine {
namespace {

/// The home holds disks and their secrets: it is its owner's alone when kiln makes it.
std::filesystem::path prepared(const std::filesystem::path& home) {
  std::error_code error;
  if (!std::filesystem::exists(home, error) && std::filesystem::create_directories(home, error))
    std::filesystem::permissions(home, std::filesystem::perms::owner_all, error);
  for (const char* name : {"layers", "done", "last", "again", "cache", "logs"}) {
    std::filesystem::create_directories(home / name, error);
    if (error)
      throw system_error("cannot create " + (home / name).string(), error.value(),
                         "set KILN_HOME to a folder that you may write to");
    // The home itself may be older than kiln, and open to others.
    std::filesystem::permissions(home / name, std::filesystem::perms::owner_all, error);
  }
  return home;
}

}  // namespace

void StageLog::open_locked() {
  if (stream_.is_open()) return;
  std::error_code error;
  std::filesystem::create_directories(file_.parent_path(), error);
  stream_.open(file_, std::ios::app);
}

void StageLog::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  open_locked();
  stream_ << line << '\n' << std::flush;
}

const std::filesystem::path& StageLog::open() {
  const std::lock_guard lock(mutex_);
  open_locked();
  return file_;
}

RunState::RunState(const Pipeline& p, const Services& s, Observer& observer, const RunOptions& options)
    : pipeline(p),
      services(s),
      stop(options.stop),
      emit(observer),
      home(prepared(s.home)),
      layers(home.layers(), s.layer_format),
      workspace(layers),
      logs(home.logs() /
           fmt::format("{:%Y-%m-%dT%H-%M-%S}-{}", fmt::gmtime(Clock::to_time_t(Clock::now())), ::getpid())) {}

std::filesystem::path RunState::log_file(const Step& step) const {
  return logs / (std::to_string(step.number) + '-' + step.use + ".log");
}

Error RunState::blamed(const Step& step, const Error& error) {
  const Step* nobody = nullptr;
  failed.compare_exchange_strong(nobody, &step);
  const std::filesystem::path log = log_file(step);
  std::error_code ignored;
  const bool logged = std::filesystem::exists(log, ignored) && std::filesystem::file_size(log, ignored) > 0;
  return prefixed(label(step), error, logged ? "full log: " + log.string() : "");
}

}  // namespace kiln::engine

#include "catalog/lease.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "process/process.h"

namespace kiln {
namespace {

/// A collection may find the file in the moment before it is locked, and remove it.
FileLock hold(const std::filesystem::path& file) {
  for (;;) {
    FileLock lock = FileLock::exclusive(file);
    if (lock.is_named()) return lock;
  }
}

}  // namespace

Lease::Lease(LeaseRecords& records, const StorePaths& paths, std::string id, const std::string& region,
             const std::string& owner, std::chrono::seconds term, std::optional<ImageRow> making, bool is_part)
    : records_(records), file_(paths.lease(id)), held_(hold(file_)), id_(std::move(id)), term_(term) {
  const Moment now = now_moment();
  if (making) making->id = id_, making->region = region, making->owner = owner, making->created = now;
  try {
    records_.begin({id_, region, owner, this_host(), now, later(now, term_), 0, is_part}, making);
  } catch (const Error& error) {
    // A transaction that failed at its end may be there all the same: the file makes somebody look.
    std::error_code ignored;
    if (error.failure() == Failure::refused) std::filesystem::remove(file_, ignored);
    throw;
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { renew_loop(stop); });
}

Lease::~Lease() {
  thread_.request_stop();
  thread_ = {};
  try {
    if (!redeemed_) records_.end(id_, why_);
  } catch (const std::exception&) {
    return;  // nobody holds the file that stays: the next one who opens the store ends the lease
  }
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

void Lease::renew_loop(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, stop, term_ / 4, [] { return false; }) && !stop.stop_requested()) {
    try {
      (void)records_.renew(id_, later(now_moment(), term_));
    } catch (const std::exception&) {
      // the database may be back the next time; if not, the holder hears of it at its transaction
    }
  }
}

void Lease::reserve(std::uint64_t bytes) {
  if (!records_.reserve(id_, bytes)) throw lease_is_gone();
}

void Lease::require() {
  if (!records_.renew(id_, later(now_moment(), term_))) throw lease_is_gone();
}

bool Lease::is_held(const StorePaths& paths, const std::string& id) {
  const auto file = paths.lease(id);
  return std::filesystem::exists(file) && !FileLock::try_exclusive(file);
}

std::string Lease::this_host() {
  std::array<char, 128> name{};
  ::gethostname(name.data(), name.size() - 1);
  return std::string(name.data()) + "/" + host_boot_id().substr(0, 8);
}

}  // namespace kiln

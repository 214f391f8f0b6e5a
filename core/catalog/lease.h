#pragma once
// A lease: keeps the collection away from everything that a publish counts on while no image names it yet.
//
// It is a row in the records, which other hosts see and which ends by time, and a locked file in staging/, which ends
// with its process. Both are there before anything is written.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "catalog/lease_records.h"
#include "catalog/store_paths.h"
#include "process/file_lock.h"

namespace kiln {

class Lease {
 public:
  /// How long a lease lasts when nobody renews it. A process that is stopped for longer, plus the grace of a
  /// collection, cannot finish.
  static constexpr std::chrono::seconds usual_term{600};

  /// Takes it, and renews it by a thread of its own until it ends. `making`: the image that it is for, if
  /// it is for one; its id, region, owner and moment are the lease's. `is_part`: it is for a part of an image, and
  /// counts as no image. Throws refused() when the owner may have no further image.
  Lease(LeaseRecords&, const StorePaths&, std::string id, const std::string& region, const std::string& owner,
        std::chrono::seconds term = usual_term, std::optional<ImageRow> making = {}, bool is_part = false);
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  /// Ends it. The files of staging/ are the holder's to remove before.
  ~Lease();

  const std::string& id() const noexcept { return id_; }
  /// See LeaseRecords::reserve(). Throws when the lease is gone.
  void reserve(std::uint64_t bytes);
  /// Throws when the collection took it for dead.
  void require();
  /// False when the collection took it for dead, and when a transaction redeemed it.
  bool is_there() const { return records_.is_there(id_); }
  /// What it was for was not made, and its record is to say why.
  void failed(std::string why) { why_ = std::move(why); }
  /// The transaction that names everything ended it in the records.
  void redeemed() noexcept { redeemed_ = true; }

  /// Whether the process that holds it is still there, as far as this host can tell.
  static bool is_held(const StorePaths&, const std::string& id);
  /// Its name, and which start of its kernel this is: copies of a machine have the same name.
  static std::string this_host();

 private:
  void renew_loop(const std::stop_token&);

  LeaseRecords& records_;
  std::filesystem::path file_;
  FileLock held_;
  std::string id_, why_;
  std::chrono::seconds term_;
  bool redeemed_ = false;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace kiln

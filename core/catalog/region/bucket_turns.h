#pragma once
// How copies into a bucket and collections of it keep out of each other's way, from whatever hosts, without locks.
//
// Each puts an object of its own first, and looks for those of the other kind afterwards: so of a copy and a collection
// that begin at the same time at least one sees the other. A copy then waits, a collection gives up its turn. All ages
// are by the object store's clock. ADR 9 has the argument.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "catalog/lifecycle.h"
#include "catalog/region/bucket_objects.h"
#include "process/file_lock.h"

namespace kiln {

/// Time that passes also while this process is stopped or the host sleeps.
std::chrono::seconds boot_time();

/// A copy that is under way. As long as its object is there, nothing that the bucket had when this was made, and
/// nothing that was sent since, is collected. Any thread.
class CopyMarker {
 public:
  /// Without a sign for so long, a copy of another host is taken for dead.
  static constexpr std::chrono::hours term{24};

  /// Waits for a collection that has its turn. Throws Error when that takes minutes.
  CopyMarker(const BucketObjects&, const Digest& content);
  CopyMarker(const CopyMarker&) = delete;
  CopyMarker& operator=(const CopyMarker&) = delete;
  /// Without end(), the object stays: by it the next copy finds what this one has sent.
  ~CopyMarker() = default;

  const std::string& key() const noexcept { return key_; }
  /// To be called often: gives a sign now and then. Throws as require().
  void renew();
  bool is_there() const;
  /// Throws Error when the copy was taken for dead: what it counts on may be gone.
  void require() const;
  /// The copy is done. Takes away the markers of this home's killed copies of the same content, too.
  void end();

 private:
  std::string key_of(unsigned sign) const;
  void put();
  void wait_for_collections();

  const BucketObjects& objects_;
  Digest content_;
  std::string id_;
  FileLock alive_;  // whoever finds it open in this home knows that the process has died
  unsigned sign_ = 0;
  std::string key_;
  mutable std::mutex mutex_;
  std::chrono::seconds given_{0};
};

/// A copy's marker as a collection sees it.
struct SeenMarker {
  std::string key;
  bool dead = false;
  std::string why;  ///< it is dead
};

/// Those in the bucket, at that moment of the object store.
std::vector<SeenMarker> markers_at(const BucketObjects&, const Moment& now);
/// Takes a dead one away; the copy, should it go on, finds that out.
void bury(const BucketObjects&, const SeenMarker&);

/// A collection's turn: while it lasts, copies wait. One thread.
class CollectionTurn {
 public:
  /// For so long it removes things, and after so long it is taken for dead.
  static constexpr std::chrono::minutes length{2}, term{10};

  explicit CollectionTurn(const BucketObjects&);
  CollectionTurn(const CollectionTurn&) = delete;
  CollectionTurn& operator=(const CollectionTurn&) = delete;
  ~CollectionTurn();

  /// By the object store's clock.
  const Moment& began() const noexcept { return began_; }
  /// Nothing may be removed any more. Any thread.
  bool is_over() const { return boot_time() - started_ > length; }

 private:
  const BucketObjects& objects_;
  std::string key_;
  std::chrono::seconds started_;
  Moment began_;
};

}  // namespace kiln

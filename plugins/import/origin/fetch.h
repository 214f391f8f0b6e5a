#pragma once
// One download from one URL: as many attempts as it takes, each going on where the one before has ended.

#include <optional>
#include <string>

#include <kiln/context.h>

#include "origin/download_cache.h"
#include "origin/http.h"
#include "origin/sparse_writer.h"

namespace kiln::import {

struct FetchRules {
  std::uint64_t limit;
  std::int64_t retries;
  bool by_digest;  ///< a digest will be compared: then any server may go on with what another has begun
};

/// What became of it.
struct Fetched {
  enum class How { complete, unchanged, failed } how = How::failed;
  Note note = {};        ///< complete: with the digests
  bool resumed = false;  ///< complete: part of it was there before
  std::string why = {};  ///< failed
  bool cut = false;      ///< failed: it ends too early, again and again
};

/// One thread. Errors: as Http::get(), of the file system, and refused() for more bytes than the limit.
class Fetch {
 public:
  Fetch(Context&, const Http&, const DownloadCache&, std::string key, Part&, FetchRules, bool sha512);

  /// `known`: only when the server has another one.
  Fetched from(const std::string& url, const Validators& known);
  /// Forgets what there is of the file.
  void start_over();

 private:
  class Landing;
  /// One request, and what it has changed.
  struct Attempt {
    Answer answer = {};
    bool arrived = false;  ///< the body is as the server meant it
    bool complete = false, unchanged = false;
    bool of_another = false;  ///< what there is cannot be gone on with
  };
  Attempt attempt(const std::string& url, const Validators& known);
  void take_up(const std::string& url);
  Fetched failed(const Answer&) const;
  void pause(int failures, const Answer&);

  Context& ctx_;
  const Http& http_;
  const DownloadCache& cache_;
  std::string key_;
  Part& part_;
  FetchRules rules_;
  RunningDigests digests_;
  std::optional<SparseWriter> writer_;  ///< nothing: what the part holds has not been looked at
  Note note_;                           ///< of the part
  bool resumed_ = false;
};

}  // namespace kiln::import

#pragma once
// Writes one pack at the speed of the disk: many threads fill it, one thread writes it, past the page cache.
//
// Records go into segments of 4 MiB in memory. A segment that is full is written by the writer's own thread with
// O_DIRECT, where the file system has it: so no dirty pages wait for the fsync at the end, and what other programs
// have in the page cache stays there. Elsewhere writeback is started at once.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include <kiln/file.h>

#include "catalog/pack_file.h"

namespace kiln {

class PackWriter {
 public:
  /// Creates the file, which must not exist. The owner removes it when it is not wanted.
  explicit PackWriter(const std::filesystem::path&);
  /// Goes on with a pack that was not sealed: its header and records end at `end`, and what comes after it is cut off.
  PackWriter(const std::filesystem::path&, std::uint64_t end);
  PackWriter(const PackWriter&) = delete;
  PackWriter& operator=(const PackWriter&) = delete;
  ~PackWriter();

  /// [one thread at a time] The offset for the next `size` bytes. Never waits.
  std::uint64_t reserve(std::size_t size);
  /// [any thread] Brings bytes to a place that was reserved; each byte once. Waits while the disk is behind. Throws
  /// what writing threw.
  void fill(std::uint64_t offset, std::span<const std::byte>);
  /// Waits until every segment that is full is written. Throws what writing threw.
  void drain();
  /// Once, when all that was reserved is filled: the index, then fsync. Returns the size of the file.
  std::uint64_t seal(std::span<const PackEntry>);

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  using Buffer = std::unique_ptr<std::byte[], Free>;
  struct Segment {
    Buffer bytes;
    std::size_t filled = 0;
  };
  struct Full {
    std::uint64_t number;
    Buffer bytes;
  };

  Buffer take_buffer();  // mutex_ held
  std::byte* segment_at(std::uint64_t number);
  void filled(std::uint64_t number, std::size_t size);
  void write_loop();
  void write(const Full&);

  File file_;
  bool direct_ = false;
  std::uint64_t end_ = 0;  // of what is reserved
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Segment> open_;
  std::deque<Full> full_;
  std::vector<Buffer> spare_;
  bool writing_ = false, ending_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace kiln

#include "disk/pump.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "disk/batch_plan.h"
#include "disk/content.h"
#include "disk/manifest.h"

namespace kiln {
namespace {

using Clock = std::chrono::steady_clock;

// The buffers of the batches in flight. They are used again, because fresh pages from the kernel cost as much as
// reading a batch does.
class BufferPool {
 public:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  using Buffer = std::unique_ptr<std::byte, Free>;

  Buffer take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        Buffer buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
      }
    }
    Buffer buffer(static_cast<std::byte*>(std::aligned_alloc(4096, batch_size)));
    if (buffer == nullptr) throw std::bad_alloc();
    return buffer;
  }

  void give_back(Buffer buffer) noexcept {
    const std::lock_guard lock(mutex_);
    if (free_.size() < free_.capacity()) free_.push_back(std::move(buffer));
  }

  explicit BufferPool(std::size_t keep) { free_.reserve(keep); }

 private:
  std::mutex mutex_;
  std::vector<Buffer> free_;
};

// A batch with what it points at. A sink may hold it longer than the pass: it then keeps the pool alive.
struct OwnedBatch {
  explicit OwnedBatch(std::shared_ptr<BufferPool> p) : pool(std::move(p)) {}
  OwnedBatch(const OwnedBatch&) = delete;
  OwnedBatch& operator=(const OwnedBatch&) = delete;
  ~OwnedBatch() {
    if (buffer) pool->give_back(std::move(buffer));
  }

  Batch batch;
  std::array<Digest, PlannedBatch::chunk_count> digests{};
  std::shared_ptr<BufferPool> pool;
  BufferPool::Buffer buffer;
};

// A batch between its steps.
struct InFlight {
  std::shared_ptr<const Batch> batch;             // null: all zeros after all
  std::vector<std::unique_ptr<Encoded>> encoded;  // one per sink
  std::uint64_t data_bytes = 0;                   // what the extents promised, for the progress
};

class Pass {
 public:
  Pass(const BlockReader& reader, std::span<BlockSink* const> sinks, const PassOptions& options)
      : reader_(reader),
        sinks_(sinks),
        options_(options),
        workers_(options.workers != 0 ? options.workers : std::max(1u, std::thread::hardware_concurrency())),
        window_(std::min<std::size_t>(std::size_t{workers_} * 4 + 4, 40)),
        pool_(std::make_shared<BufferPool>(window_)),
        plan_(reader, options.known, options.known_is_whole),
        content_(reader.size()) {}

  PassResult run();

 private:
  using Lock = std::unique_lock<std::mutex>;

  void work() noexcept;
  bool step(Lock&, Hasher&);
  void plan_and_encode(Lock&, Hasher&);
  void append(Lock&);
  void store(Lock&);

  InFlight encode(const PlannedBatch&, Hasher&) const;
  void read(const PlannedBatch&, const PlannedBatch::Chunks& wanted, std::byte* into) const;
  void read_range(const PlannedBatch&, std::uint64_t from, std::uint64_t to, std::byte* into) const;
  void digest(const PlannedBatch&, OwnedBatch&, Hasher&) const;
  Digest known_digest(std::uint64_t chunk) const {
    return options_.known != nullptr ? options_.known->at(chunk) : reader_.known_digest(chunk).value();
  }
  bool wanted(std::span<const Digest>) const;
  void account(const InFlight&);
  void report(bool last);
  void fail(std::exception_ptr) noexcept;

  const BlockReader& reader_;
  const std::span<BlockSink* const> sinks_;
  const PassOptions& options_;
  const unsigned workers_;
  const std::size_t window_;
  const std::shared_ptr<BufferPool> pool_;
  std::uint64_t total_ = 0;

  BatchPlan plan_;         // by whoever set planning_
  ContentHasher content_;  // these three by whoever set appending_
  PassResult result_;
  std::uint64_t done_bytes_ = 0;
  Clock::time_point reported_{};

  std::mutex mutex_;  // all below
  std::condition_variable changed_;
  bool planning_ = false, appending_ = false, planned_all_ = false;
  std::uint64_t planned_ = 0, appended_ = 0;  // tickets: the batches' order
  std::size_t in_flight_ = 0;
  std::map<std::uint64_t, InFlight> encoded_;
  std::deque<InFlight> placed_;
  std::exception_ptr error_;
};

PassResult Pass::run() {
  if (options_.progress) total_ = count_data(reader_);
  {
    const std::stop_callback wake(options_.stop, [this] {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    });
    std::vector<std::jthread> threads;
    try {
      for (unsigned i = 1; i < workers_; ++i) threads.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      // The host gives no more threads: those there are do all of it.
    }
    work();
  }
  if (error_) std::rethrow_exception(error_);
  report(true);
  result_.content = content_.finish();
  return result_;
}

void Pass::work() noexcept {
  try {
    Hasher hasher;
    Lock lock(mutex_);
    while (step(lock, hasher)) {
    }
  } catch (...) {
    fail(std::current_exception());
  }
}

void Pass::fail(std::exception_ptr error) noexcept {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::move(error);
  changed_.notify_all();
}

// What is nearest to its end goes first, so that memory is free again soon and bytes are written while they are still
// in the core's cache. Entered and left with the lock held.
bool Pass::step(Lock& lock, Hasher& hasher) {
  if (error_) return false;
  if (options_.stop.stop_requested()) throw cancelled();
  if (!placed_.empty())
    store(lock);
  else if (!appending_ && !encoded_.empty() && encoded_.begin()->first == appended_)
    append(lock);
  else if (!planned_all_ && !planning_ && in_flight_ < window_)
    plan_and_encode(lock, hasher);
  else if (planned_all_ && in_flight_ == 0)
    return false;
  else
    changed_.wait(lock);
  return true;
}

void Pass::plan_and_encode(Lock& lock, Hasher& hasher) {
  planning_ = true;
  ++in_flight_;
  lock.unlock();
  std::optional<PlannedBatch> batch = plan_.next();
  lock.lock();
  planning_ = false;
  changed_.notify_all();
  if (!batch) {
    planned_all_ = true;
    --in_flight_;
    return;
  }
  const std::uint64_t ticket = planned_++;
  lock.unlock();
  InFlight done = encode(*batch, hasher);
  lock.lock();
  encoded_.emplace(ticket, std::move(done));
  changed_.notify_one();
}

void Pass::append(Lock& lock) {
  InFlight item = std::move(encoded_.begin()->second);
  encoded_.erase(encoded_.begin());
  appending_ = true;
  lock.unlock();
  for (std::size_t i = 0; i < item.encoded.size(); ++i) sinks_[i]->append(*item.encoded[i]);
  account(item);
  lock.lock();
  appending_ = false;
  ++appended_;
  placed_.push_back(std::move(item));
  changed_.notify_all();
}

void Pass::store(Lock& lock) {
  InFlight item = std::move(placed_.front());
  placed_.pop_front();
  lock.unlock();
  for (std::size_t i = 0; i < item.encoded.size(); ++i) sinks_[i]->store(*item.encoded[i]);
  item = {};
  lock.lock();
  --in_flight_;
  changed_.notify_all();
}

InFlight Pass::encode(const PlannedBatch& planned, Hasher& hasher) const {
  InFlight result;
  result.data_bytes = planned.data_bytes;
  const auto owned = std::make_shared<OwnedBatch>(pool_);
  const std::size_t chunks = (planned.length + chunk_size - 1) / chunk_size;
  const std::span<Digest> digests = std::span(owned->digests).first(chunks);
  digest(planned, *owned, hasher);
  if (std::ranges::all_of(digests, &Digest::is_zero_chunk)) return result;
  Batch& batch = owned->batch;
  batch.offset = planned.offset;
  batch.length = planned.length;
  batch.digests = digests;
  if (wanted(digests)) {
    const auto missing = owned->buffer ? planned.known : PlannedBatch::Chunks().set();
    if (!owned->buffer) owned->buffer = pool_->take();
    read(planned, missing, owned->buffer.get());
    batch.bytes = {owned->buffer.get(), chunks * chunk_size};
  }
  result.batch = std::shared_ptr<const Batch>(owned, &batch);
  for (BlockSink* sink : sinks_) result.encoded.push_back(sink->encode(result.batch));
  return result;
}

// Fills in all digests; reads only the chunks whose digest is not known.
void Pass::digest(const PlannedBatch& planned, OwnedBatch& owned, Hasher& hasher) const {
  if ((planned.data & ~planned.known).any()) {
    owned.buffer = pool_->take();
    read(planned, ~planned.known, owned.buffer.get());
  }
  for (std::size_t c = 0; c < planned.chunk_count; ++c) {
    if (!planned.data[c]) continue;
    if (planned.known[c]) {
      owned.digests[c] = known_digest(planned.offset / chunk_size + c);
      continue;
    }
    const std::span<const std::byte> bytes(owned.buffer.get() + c * chunk_size, chunk_size);
    if (!is_zero(bytes)) owned.digests[c] = hasher.update(bytes).digest();
  }
}

// Fills in the wanted chunks, up to the last one's padded end: data from the reader, the rest cleared.
void Pass::read(const PlannedBatch& planned, const PlannedBatch::Chunks& wanted, std::byte* into) const {
  for (std::size_t c = 0; c < planned.chunk_count;) {
    std::size_t stop = c + 1;
    while (stop < planned.chunk_count && wanted[stop] == wanted[c]) ++stop;
    if (wanted[c]) read_range(planned, planned.offset + c * chunk_size, planned.offset + stop * chunk_size, into);
    c = stop;
  }
}

void Pass::read_range(const PlannedBatch& planned, std::uint64_t from, std::uint64_t to, std::byte* into) const {
  const auto clear = [&](std::uint64_t a, std::uint64_t b) { std::memset(into + (a - planned.offset), 0, b - a); };
  std::uint64_t at = from;
  for (const auto& [offset, length] : planned.runs) {
    const std::uint64_t start = std::max(offset, from), end = std::min(offset + length, to);
    if (start >= end) continue;
    clear(at, start);
    reader_.read(start, {into + (start - planned.offset), end - start});
    at = end;
  }
  clear(at, to);
}

bool Pass::wanted(std::span<const Digest> digests) const {
  return std::ranges::any_of(sinks_, [&](const BlockSink* sink) {
    return std::ranges::any_of(digests, [&](const Digest& d) { return !d.is_zero_chunk() && !sink->knows(d); });
  });
}

void Pass::account(const InFlight& item) {
  done_bytes_ += item.data_bytes;
  if (item.batch != nullptr) {
    const Batch& batch = *item.batch;
    for (std::size_t c = 0; c < batch.digests.size(); ++c) {
      if (batch.digests[c].is_zero_chunk()) continue;
      content_.add(batch.offset / chunk_size + c, batch.digests[c]);
      result_.data_bytes += std::min(chunk_size, batch.length - c * chunk_size);
    }
  }
  report(false);
}

void Pass::report(bool last) {
  if (!options_.progress) return;
  const Clock::time_point now = Clock::now();
  if (!last && now - reported_ < std::chrono::milliseconds(50)) return;
  reported_ = now;
  options_.progress(done_bytes_, total_);
}

}  // namespace

PassResult pump(const BlockReader& reader, std::span<BlockSink* const> sinks, const PassOptions& options) {
  try {
    return Pass(reader, sinks, options).run();
  } catch (const std::exception& error) {
    if (!is_cancelled(error))
      for (BlockSink* sink : sinks) sink->failed(error.what());
    throw;
  }
}

}  // namespace kiln

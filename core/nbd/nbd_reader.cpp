#include "nbd/nbd_reader.h"

#include <libnbd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include <kiln/error.h>

#include "qmp/json_socket.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t status_window = 1u << 30;    // an NBD request has 32 bits for a length
constexpr std::uint64_t largest_disk = 64ull << 40;  // bounds the memory of the map
constexpr std::size_t piece = 256u << 10;            // of a read, so that several are under way

/// NBD_NULL_COMPLETION, with all its members.
constexpr nbd_completion_callback unwatched{.callback = nullptr, .user_data = nullptr, .free = nullptr};

Error broken(const std::string& what) {
  const char* words = nbd_get_error();
  return Error("cannot read the disk from qemu: " + what, "does the machine still run?",
               words != nullptr ? std::vector<std::string>{words} : std::vector<std::string>{});
}

/// One connection. For one thread at a time.
class Connection {
 public:
  Connection(const NbdExport& from, const std::vector<std::string>& contexts)
      : stop_(from.stop), silence_(from.silence), handle_(nbd_create()) {
    if (!handle_) throw broken("no memory");
    if (nbd_set_export_name(handle_.get(), from.name.c_str()) < 0) throw broken("its export has no such name");
    for (const std::string& context : contexts)
      if (nbd_add_meta_context(handle_.get(), context.c_str()) < 0) throw broken("too many contexts");
    if (nbd_aio_connect_socket(handle_.get(), connect_unix(from.socket)) < 0) throw broken("it does not answer");
    wait([&] { return nbd_aio_is_ready(handle_.get()) > 0; });
    for (const std::string& context : contexts)
      if (nbd_can_meta_context(handle_.get(), context.c_str()) != 1) throw broken("it does not offer " + context);
  }

  std::uint64_t size() const {
    const std::int64_t size = nbd_get_size(handle_.get());
    if (size <= 0 || static_cast<std::uint64_t>(size) > largest_disk) throw broken("it has an impossible size");
    return static_cast<std::uint64_t>(size);
  }

  void read(std::uint64_t offset, std::span<std::byte> into) {
    std::vector<std::int64_t> cookies;
    for (std::size_t at = 0; at < into.size(); at += piece) {
      const auto part = into.subspan(at, std::min(piece, into.size() - at));
      const std::int64_t cookie = nbd_aio_pread(handle_.get(), part.data(), part.size(), offset + at, unwatched, 0);
      if (cookie < 0) throw broken("a read was refused");
      cookies.push_back(cookie);
    }
    for (const std::int64_t cookie : cookies) finish(cookie);
  }

  /// Calls back with (context, offset, length, flags) for what [offset, offset + length) begins with, and returns how
  /// much of it every context has covered.
  template <class F>
  std::uint64_t status(std::uint64_t offset, std::uint64_t length, std::size_t contexts, F&& told) {
    Status state{offset, length, {}, {}};
    const nbd_extent_callback callback{.callback = &Connection::extents, .user_data = &state, .free = nullptr};
    const std::int64_t cookie = nbd_aio_block_status(handle_.get(), length, offset, callback, unwatched, 0);
    if (cookie < 0) throw broken("its map was refused");
    finish(cookie);
    if (state.covered.size() != contexts) throw broken("its map is not complete");
    std::uint64_t all = length;
    for (const auto& [context, covered] : state.covered) all = std::min(all, covered);
    if (all == 0) throw broken("its map is empty");
    for (const Run& run : state.runs)
      if (run.offset < offset + all)
        told(run.context, run.offset, std::min(run.length, offset + all - run.offset), run.flags);
    return all;
  }

 private:
  struct Run {
    std::string context;
    std::uint64_t offset, length;
    std::uint32_t flags;
  };
  struct Status {
    std::uint64_t offset, length;
    std::vector<std::pair<std::string, std::uint64_t>> covered;
    std::vector<Run> runs;
  };
  struct Close {
    void operator()(nbd_handle* h) const { nbd_close(h); }
  };

  /// [libnbd] Pairs of length and flags, of one context.
  static int extents(void* user, const char* context, std::uint64_t, std::uint32_t* entries, std::size_t count, int*) {
    auto& state = *static_cast<Status*>(user);
    std::uint64_t covered = 0;
    for (std::size_t i = 0; i + 1 < count && covered < state.length; i += 2) {
      const std::uint64_t length = std::min<std::uint64_t>(entries[i], state.length - covered);
      if (length != 0) state.runs.push_back({context, state.offset + covered, length, entries[i + 1]});
      covered += length;
    }
    state.covered.emplace_back(context, covered);
    return 0;
  }

  void finish(std::int64_t cookie) {
    wait([&] {
      const int done = nbd_aio_command_completed(handle_.get(), static_cast<std::uint64_t>(cookie));
      if (done < 0) throw broken("a request failed");
      return done > 0;
    });
  }

  template <class Done>
  void wait(const Done& done) {
    const auto until = Clock::now() + silence_;
    while (!done()) {
      if (stop_.stop_requested()) throw cancelled();
      if (Clock::now() > until) throw broken("it has not answered for " + format_duration(silence_));
      if (nbd_aio_is_dead(handle_.get()) > 0 || nbd_aio_is_closed(handle_.get()) > 0)
        throw broken("it closed the connection");
      if (nbd_poll(handle_.get(), 100) < 0) throw broken("the connection broke");
    }
  }

  std::stop_token stop_;
  Duration silence_;
  std::unique_ptr<nbd_handle, Close> handle_;
};

/// Of every chunk of the disk: whether it has data, and whether that is known.
class ChunkMap {
 public:
  explicit ChunkMap(std::uint64_t size) : data_((size + chunk_size - 1) / chunk_size), changed_(data_.size()) {}

  void mark_data(std::uint64_t offset, std::uint64_t length) { mark(data_, offset, length); }
  void mark_changed(std::uint64_t offset, std::uint64_t length) { mark(changed_, offset, length); }
  void clear_data(std::size_t chunk) { data_[chunk] = false; }
  std::size_t size() const { return data_.size(); }
  bool data(std::size_t chunk) const { return data_[chunk]; }
  bool changed(std::size_t chunk) const { return changed_[chunk]; }
  /// The first chunk after `chunk` that is not as it is. Of data no more than what a walk in batches looks at.
  std::size_t end_of_run(std::size_t chunk) const {
    const std::size_t last = data_[chunk] ? std::min(size(), chunk + batch_size / chunk_size) : size();
    std::size_t end = chunk + 1;
    while (end < last && data_[end] == data_[chunk] && changed_[end] == changed_[chunk]) ++end;
    return end;
  }

 private:
  static void mark(std::vector<bool>& in, std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t c = offset / chunk_size; c <= (offset + length - 1) / chunk_size; ++c) in[c] = true;
  }
  std::vector<bool> data_, changed_;
};

constexpr char allocation[] = "base:allocation", depth[] = "qemu:allocation-depth";

std::vector<std::string> bitmap_contexts(const NbdExport& from) {
  std::vector<std::string> contexts;
  for (const std::string& bitmap : from.bitmaps) contexts.push_back("qemu:dirty-bitmap:" + bitmap);
  return contexts;
}

class NbdReader final : public BlockReader {
 public:
  explicit NbdReader(NbdExport from) : from_(std::move(from)), size_(Connection(from_, {}).size()), map_(size_) {
    if (!from_.bitmaps.empty())
      map_changes();
    else
      map_all();
  }

  std::uint64_t size() const override { return size_; }

  Extent extent_at(std::uint64_t offset) const override {
    const std::size_t chunk = offset / chunk_size;
    const std::uint64_t end = std::min(size_, map_.end_of_run(chunk) * chunk_size);
    return {offset, end - offset, map_.data(chunk), known_chunk(chunk)};
  }

  std::optional<Digest> known_digest(std::uint64_t chunk) const override {
    if (!known_chunk(chunk)) return std::nullopt;
    return from_.known->at(chunk);
  }

  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (from_.before_read) from_.before_read();
    std::unique_ptr<Connection> connection = take();
    connection->read(offset, into);  // one that failed is not used again
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
  }

 private:
  /// A chunk that the old disk's end cuts is not the same as one that goes on.
  bool known_chunk(std::uint64_t chunk) const {
    if (!from_.known || map_.changed(chunk)) return false;
    const std::uint64_t old = from_.known->disk_size();
    return old == size_ || (chunk + 1) * chunk_size <= std::min(old, size_);
  }

  /// All of the disk is asked for: which parts hold data, and which of these are not the base's.
  void map_all() {
    // Not every export offers the depth.
    const std::vector<std::string> contexts =
        from_.known ? std::vector<std::string>{allocation, depth} : std::vector<std::string>{allocation};
    Connection connection(from_, contexts);
    for (std::uint64_t at = 0; at < size_;)
      at += connection.status(
          at, std::min(status_window, size_ - at), contexts.size(),
          [&](const std::string& context, std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
            if (context == depth && flags != 0 && flags < from_.depth) map_.mark_changed(offset, length);
            if (context == allocation && !is_zero(flags)) map_.mark_data(offset, length);
          });
  }

  /// What the bitmaps call clean is as the manifest says, and qemu is asked only about the rest.
  void map_changes() {
    const std::vector<std::string> contexts = bitmap_contexts(from_);
    Connection bitmaps(from_, contexts), connection(from_, {allocation});
    for (std::uint64_t at = 0; at < size_;)
      at += bitmaps.status(at, std::min(status_window, size_ - at), contexts.size(),
                           [&](const std::string&, std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
                             if ((flags & dirty) != 0) map_.mark_changed(offset, length);
                           });
    for (const Manifest::Entry& entry : from_.known->entries())
      if (entry.index < map_.size()) map_.mark_data(entry.index * chunk_size, 1);
    for (std::size_t chunk = 0; chunk < map_.size();) {
      std::size_t end = chunk;
      while (end < map_.size() && !known_chunk(end)) map_.clear_data(end++);
      if (end > chunk) map_data(connection, chunk * chunk_size, std::min(end * chunk_size, size_));
      chunk = std::max(end, chunk + 1);
    }
  }

  void map_data(Connection& connection, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t at = from; at < to;)
      at += connection.status(at, std::min(status_window, to - at), 1,
                              [&](const std::string&, std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
                                if (!is_zero(flags)) map_.mark_data(offset, length);
                              });
  }

  static bool is_zero(std::uint32_t flags) { return (flags & LIBNBD_STATE_ZERO) != 0; }

  std::unique_ptr<Connection> take() const {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Connection> connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
    }
    auto made = std::make_unique<Connection>(from_, std::vector<std::string>{});
    if (made->size() != size_) throw broken("it has another size now");
    return made;
  }

  static constexpr std::uint32_t dirty = 1;  // NBD_STATE_DIRTY of docs/interop/nbd.txt
  const NbdExport from_;
  const std::uint64_t size_;
  ChunkMap map_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Connection>> idle_;  // destroyed before from_.keep, which ends the server
};

}  // namespace

std::shared_ptr<const BlockReader> open_nbd(NbdExport from) {
  return std::make_shared<NbdReader>(std::move(from));
}

}  // namespace kiln

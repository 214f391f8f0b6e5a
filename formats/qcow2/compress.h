#pragma once
// Compressed clusters: each decodes, alone, to exactly one cluster.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace kiln::qcow2 {

/// Byte 104 of the header. `deflate` is the raw stream of RFC 1951, `zstd` one or more frames of RFC 8878.
enum class Compression : std::uint8_t { deflate = 0, zstd = 1 };

/// Decodes one cluster at a time; for one thread at a time. Needs no memory that depends on the input, but for zstd's
/// window, which is limited.
class Decompressor {
 public:
  explicit Decompressor(Compression);
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  ~Decompressor();

  /// True when `from` begins with a stream that fills `into` exactly. What follows the stream is ignored: the L2 entry
  /// gives the length in whole sectors only.
  bool decode(std::span<const std::byte> from, std::span<std::byte> into);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Encodes one cluster at a time; for one thread at a time. The same input gives the same bytes.
class Compressor {
 public:
  /// `level`: libdeflate's 1 to 12, libzstd's 1 to 19; 0 is one that is quick.
  Compressor(Compression, int level);
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  ~Compressor();

  /// The length written to `into`; 0 when it would not fit, and then the cluster is better stored as it is.
  std::size_t encode(std::span<const std::byte> from, std::span<std::byte> into);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Objects that are costly to make, each lent to one thread at a time. Grows to the number of threads that ask at once.
template <class T>
class Pool {
 public:
  /// Takes a free one for which `good` holds, else any free one, else what `make` returns.
  template <class Good, class Make>
  std::unique_ptr<T> take(Good good, Make make) {
    {
      const std::scoped_lock lock(mutex_);
      for (auto& item : free_)
        if (good(*item)) std::swap(item, free_.back());
      if (!free_.empty()) {
        std::unique_ptr<T> item = std::move(free_.back());
        free_.pop_back();
        return item;
      }
    }
    return make();
  }
  void give_back(std::unique_ptr<T> item) {
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(item));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> free_;
};

}  // namespace kiln::qcow2

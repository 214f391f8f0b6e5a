#pragma once
// A disk's bytes on their way: one reader, one pass, many sinks.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <kiln/digest.h>

namespace kiln {

/// The unit of identity and of deduplication: aligned to the disk's start, because disks are addressed by block.
inline constexpr std::uint64_t chunk_size = 64 * 1024;
/// The unit of work of a pass: sixteen chunks.
inline constexpr std::uint64_t batch_size = 16 * chunk_size;

/// A run of the disk. `!data` reads as zeros. `inherited` means that an overlay does not hold the run itself: it reads
/// as whatever lies below.
struct Extent {
  std::uint64_t offset = 0, length = 0;
  bool data = false;
  bool inherited = false;
};

/// The guest-visible content of one drive. Const methods may be called from any thread, at the same time.
class KILN_API BlockReader {
 public:
  BlockReader() = default;
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;
  virtual ~BlockReader();

  /// Bytes that the guest sees. Need not be a multiple of anything.
  virtual std::uint64_t size() const = 0;
  /// The extent that starts at `offset` (< size()): never empty, never past size(). Maximal where that is cheap.
  virtual Extent extent_at(std::uint64_t offset) const = 0;
  /// Fills `into` from `offset`; the range lies within size(). Throws Error when the container is damaged or short.
  virtual void read(std::uint64_t offset, std::span<std::byte> into) const = 0;
  /// The digest of chunk number `chunk`, padded with zeros at the disk's end, when it is known without reading: such a
  /// chunk is read only when somebody lacks its bytes. Default: nothing is known.
  virtual std::optional<Digest> known_digest(std::uint64_t chunk) const;
};

/// An aligned piece of the disk, shared by every sink of a pass. Immutable.
struct Batch {
  std::uint64_t offset = 0;  ///< multiple of batch_size
  std::uint64_t length = 0;  ///< guest bytes that it covers: batch_size, fewer at the disk's end
  /// The bytes, padded with zeros to a whole chunk. Empty when every sink knows() every chunk of the batch.
  std::span<const std::byte> bytes;
  /// One per chunk. A chunk of zeros has the zero digest, whatever the container said of it.
  std::span<const Digest> digests;
};

/// What a sink's encode() made of a batch. Sinks derive from it to carry their own.
struct KILN_API Encoded {
  Encoded() = default;
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;
  virtual ~Encoded();
  std::shared_ptr<const Batch> batch;
};

/// Where content goes. For one batch the calls come in the order encode, append, store. Batches that are all zeros are
/// not offered: what was never appended reads as zeros.
class KILN_API BlockSink {
 public:
  BlockSink() = default;
  BlockSink(const BlockSink&) = delete;
  BlockSink& operator=(const BlockSink&) = delete;
  virtual ~BlockSink();  ///< without finish(): undo, leave nothing behind

  /// [any thread] True when the chunk's bytes are not needed, because content of this digest is already here.
  virtual bool knows(const Digest&) const { return false; }
  /// [all cores, any order] The expensive part: compress. Default: carry the batch on.
  virtual std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch>) const;
  /// [one thread at a time, disk order] Decide the place. Must be cheap.
  virtual void append(Encoded&) = 0;
  /// [all cores, any order, after append] Write to the place decided. Default: nothing.
  virtual void store(Encoded&) {}
  /// [the caller's thread, once, after all batches] Headers and tables. After it the content is there. Whether a file
  /// must survive a power cut is not the format's to say: who seals or renames it does the fsync.
  virtual void finish() = 0;
  /// [the caller's thread, at most once, when finish() will not be called or has thrown] What kept the content from
  /// getting whole, for whoever keeps a record of that. Not called when the user stopped it. Default: nothing.
  virtual void failed(const std::string& why) noexcept;
};

}  // namespace kiln

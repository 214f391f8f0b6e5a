#pragma once
// The one read pass over a disk: read once, hash once, and let every sink have it.

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include <kiln/block.h>
#include <kiln/context.h>

namespace kiln {

class Manifest;

struct PassOptions {
  /// Once asked for, pump() throws cancelled() as soon as the batches at work are done: within 100 ms.
  std::stop_token stop = {};
  /// Bytes of data so far and in all (holes do not count). Called by one thread at a time, at most 20 times a second
  /// and once at the end. Without it the extents are walked once instead of twice.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
  /// Threads that read, hash and encode, the caller's among them. 0: one per core.
  unsigned workers = 0;
  /// What is known already: chunks that the reader calls inherited are as this manifest of the disk below says, and are
  /// neither read nor hashed unless a sink wants their bytes. Lent for the call. Without it the reader's
  /// own known_digest() is asked.
  const Manifest* known = nullptr;
  /// `known` describes this very disk, not the one below it: no chunk is hashed, and a batch is read only when a sink
  /// does not know() one of its chunks.
  bool known_is_whole = false;
};

/// Offers the disk to all sinks and returns its identity. Holes are not read and zeros are not offered. Memory is
/// bounded by the batches in flight: a few dozen, whatever the disk's size.
///
/// finish() is called on no sink: the caller does that when all of the pass went well. What any thread throws ends the
/// pass; the first exception is rethrown here, once, after every thread has stopped.
PassResult pump(const BlockReader&, std::span<BlockSink* const> sinks, const PassOptions& = {});

}  // namespace kiln

#include "libvirt/upload.h"

#include <algorithm>
#include <exception>

namespace kiln {
namespace {

void append(std::vector<Range>& ranges, std::uint64_t chunk, std::uint64_t disk_size) {
  const std::uint64_t offset = chunk * chunk_size;
  if (offset >= disk_size) return;
  const std::uint64_t length = std::min(chunk_size, disk_size - offset);
  if (!ranges.empty() && ranges.back().offset + ranges.back().length == offset)
    ranges.back().length += length;
  else
    ranges.push_back({offset, length});
}

/// What libvirt's senders ask for the next bytes. They are C: what is thrown waits here.
class Source {
 public:
  Source(const Upload& upload, const std::vector<Range>& ranges, std::uint64_t& done, std::uint64_t total)
      : upload_(upload), ranges_(ranges), done_(done), total_(total) {}

  void send_whole(virStreamPtr stream) {
    if (virStreamSparseSendAll(stream, read, section, skip, this) < 0) fail(stream);
    finish(stream);
  }
  void send_ranges(virStreamPtr stream) {
    if (virStreamSendAll(stream, read, this) < 0) fail(stream);
    finish(stream);
  }

 private:
  [[noreturn]] void fail(virStreamPtr stream) {
    const Error error = libvirt_error("cannot send the disk");
    virStreamAbort(stream);
    if (thrown_) std::rethrow_exception(thrown_);
    throw error;
  }
  void finish(virStreamPtr stream) {
    if (virStreamFinish(stream) != 0) throw libvirt_error("cannot send the disk");
  }

  const Range* next() {
    while (at_ < ranges_.size() && position_ >= ranges_[at_].offset + ranges_[at_].length) ++at_;
    return at_ < ranges_.size() ? &ranges_[at_] : nullptr;
  }
  int take(char* into, std::size_t size) {
    const Range* range = next();
    if (range == nullptr || size == 0) return 0;
    if (upload_.stop.stop_requested()) throw cancelled();
    position_ = std::max(position_, range->offset);
    size = std::min<std::size_t>(size, range->offset + range->length - position_);
    // libvirt asks for 24 bytes less than four chunks: so that none is decoded twice, whole ones are read.
    if (const std::uint64_t end = (position_ + size) / chunk_size * chunk_size; end > position_) size = end - position_;
    upload_.from.read(position_, std::as_writable_bytes(std::span(into, size)));
    position_ += size;
    done_ += size;
    if (upload_.progress) upload_.progress(done_, total_);
    return static_cast<int>(size);
  }

  static int read(virStreamPtr, char* into, std::size_t size, void* opaque) {
    auto& self = *static_cast<Source*>(opaque);
    try {
      return self.take(into, size);
    } catch (...) {
      self.thrown_ = std::current_exception();
      return -1;
    }
  }
  static int section(virStreamPtr, int* in_data, long long* length, void* opaque) {
    auto& self = *static_cast<Source*>(opaque);
    const Range* range = self.next();
    const std::uint64_t end = self.upload_.from.size();
    *in_data = range != nullptr && range->offset <= self.position_;
    const std::uint64_t until = range == nullptr ? end : *in_data ? range->offset + range->length : range->offset;
    *length = static_cast<long long>(until - self.position_);
    return 0;
  }
  static int skip(virStreamPtr, long long length, void* opaque) {
    static_cast<Source*>(opaque)->position_ += static_cast<std::uint64_t>(length);
    return 0;
  }

  const Upload& upload_;
  const std::vector<Range>& ranges_;
  std::uint64_t& done_;
  std::uint64_t total_, position_ = 0;
  std::size_t at_ = 0;
  std::exception_ptr thrown_;
};

StreamHandle open_stream(const Storage& storage, virStorageVolPtr volume, const Range& range, unsigned flags) {
  StreamHandle stream(virStreamNew(storage.connection(), 0));
  if (!stream || virStorageVolUpload(volume, stream.get(), range.offset, range.length, flags) != 0)
    throw libvirt_error("cannot send the disk");
  return stream;
}

}  // namespace

std::vector<Range> data_of(const Manifest& manifest) {
  std::vector<Range> ranges;
  for (const Manifest::Entry& entry : manifest.entries()) append(ranges, entry.index, manifest.disk_size());
  return ranges;
}

std::vector<Range> differences(const Manifest& wanted, const Manifest& there) {
  std::vector<Range> ranges;
  auto old = there.entries().begin();
  const auto old_end = there.entries().end();
  for (const Manifest::Entry& entry : wanted.entries()) {
    for (; old != old_end && old->index < entry.index; ++old) append(ranges, old->index, wanted.disk_size());
    const bool same = old != old_end && old->index == entry.index && old->digest == entry.digest;
    if (old != old_end && old->index == entry.index) ++old;
    if (!same) append(ranges, entry.index, wanted.disk_size());
  }
  for (; old != old_end; ++old) append(ranges, old->index, wanted.disk_size());
  return ranges;
}

std::uint64_t length_of(const std::vector<Range>& ranges) {
  std::uint64_t length = 0;
  for (const Range& range : ranges) length += range.length;
  return length;
}

void upload_whole(const Storage& storage, const std::string& name, const Upload& upload) {
  const VolumeHandle volume = storage.open(name);
  const StreamHandle stream =
      open_stream(storage, volume.get(), {0, upload.from.size()}, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM);
  std::uint64_t done = 0;
  Source(upload, upload.ranges, done, length_of(upload.ranges)).send_whole(stream.get());
}

void upload_ranges(const Storage& storage, const std::string& name, const Upload& upload) {
  const VolumeHandle volume = storage.open(name);
  std::uint64_t done = 0;
  const std::uint64_t total = length_of(upload.ranges);
  for (const Range& range : upload.ranges) {
    const StreamHandle stream = open_stream(storage, volume.get(), range, 0);
    Source(upload, {range}, done, total).send_ranges(stream.get());
  }
}

void upload_bytes(const Storage& storage, const std::string& name, std::string_view bytes) {
  const VolumeHandle volume = storage.open(name);
  const StreamHandle stream = open_stream(storage, volume.get(), {0, bytes.size()}, 0);
  while (!bytes.empty()) {
    const int n = virStreamSend(stream.get(), bytes.data(), bytes.size());
    if (n <= 0) throw libvirt_error("cannot send " + name);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  if (virStreamFinish(stream.get()) != 0) throw libvirt_error("cannot send " + name);
}

}  // namespace kiln

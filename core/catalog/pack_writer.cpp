#include "catalog/pack_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace kiln {
namespace {

constexpr std::size_t segment_size = 4u << 20, alignment = 4096, queue_limit = 4;

/// Not every file system that accepts the flag accepts the writes, so one block is written, as it is, to find out.
bool use_direct(const File& file) {
  const std::unique_ptr<void, decltype(&std::free)> block(std::aligned_alloc(alignment, alignment), &std::free);
  if (!block) throw std::bad_alloc();
  std::memset(block.get(), 0, alignment);
  (void)file.read_some(0, {static_cast<std::byte*>(block.get()), alignment});
  const int flags = ::fcntl(file.fd(), F_GETFL);
  if (flags < 0 || ::fcntl(file.fd(), F_SETFL, flags | O_DIRECT) != 0) return false;
  if (::pwrite(file.fd(), block.get(), alignment, 0) == static_cast<ssize_t>(alignment)) return true;
  ::fcntl(file.fd(), F_SETFL, flags);  // whatever went wrong, an ordinary write reports it
  return false;
}

}  // namespace

PackWriter::PackWriter(const std::filesystem::path& path) : file_(File::create(path)), direct_(use_direct(file_)) {
  std::array<std::byte, pack_header_size> header{};
  put_pack_header(header);
  fill(reserve(header.size()), header);
  thread_ = std::thread([this] { write_loop(); });
}

PackWriter::PackWriter(const std::filesystem::path& path, std::uint64_t end)
    : file_(File::open_write(path)), end_(end) {
  file_.truncate(end);
  const std::uint64_t number = end / segment_size;
  if (const std::size_t used = end % segment_size; used > 0) {
    Buffer bytes = take_buffer();
    file_.read_at(number * segment_size, std::span(bytes.get(), used));
    open_[number] = {std::move(bytes), used};
  }
  direct_ = use_direct(file_);
  thread_ = std::thread([this] { write_loop(); });
}

PackWriter::~PackWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    full_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

std::uint64_t PackWriter::reserve(std::size_t size) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t at = end_;
  end_ += size;
  for (std::uint64_t n = at / segment_size; n * segment_size < end_; ++n)
    if (n * segment_size >= at) open_[n] = {take_buffer(), 0};
  return at;
}

PackWriter::Buffer PackWriter::take_buffer() {
  if (spare_.empty()) {
    Buffer fresh(static_cast<std::byte*>(std::aligned_alloc(alignment, segment_size)));
    if (!fresh) throw std::bad_alloc();
    return fresh;
  }
  Buffer buffer = std::move(spare_.back());
  spare_.pop_back();
  return buffer;
}

std::byte* PackWriter::segment_at(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  // Only on what the writing thread will surely take: waiting for another filler could wait for this very thread.
  changed_.wait(lock, [&] { return full_.size() < queue_limit || error_; });
  if (error_) std::rethrow_exception(error_);
  return open_.at(number).bytes.get();
}

void PackWriter::filled(std::uint64_t number, std::size_t size) {
  {
    const std::lock_guard lock(mutex_);
    const auto segment = open_.find(number);
    segment->second.filled += size;
    if (segment->second.filled < segment_size) return;
    full_.push_back({number, std::move(segment->second.bytes)});
    open_.erase(segment);
  }
  changed_.notify_all();
}

void PackWriter::fill(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t number = offset / segment_size;
    const std::size_t within = offset % segment_size;
    const std::size_t n = std::min(bytes.size(), segment_size - within);
    std::memcpy(segment_at(number) + within, bytes.data(), n);
    filled(number, n);
    bytes = bytes.subspan(n);
    offset += n;
  }
}

void PackWriter::write(const Full& segment) {
  const std::uint64_t offset = segment.number * segment_size;
  file_.write_at(offset, std::span(segment.bytes.get(), segment_size));
  if (!direct_) file_.start_writeback(offset, segment_size);
}

void PackWriter::write_loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || (!full_.empty() && !error_); });
    if (ending_) return;
    Full segment = std::move(full_.front());
    full_.pop_front();
    writing_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      write(segment);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    writing_ = false;
    if (error) error_ = error;
    spare_.push_back(std::move(segment.bytes));
    changed_.notify_all();
  }
}

void PackWriter::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return (full_.empty() && !writing_) || error_; });
  if (error_) std::rethrow_exception(error_);
}

std::uint64_t PackWriter::seal(std::span<const PackEntry> entries) {
  const std::uint64_t index_at = end_;
  const auto index = make_index(entries, index_at);
  fill(reserve(index.size()), index);
  drain();
  for (const auto& [number, segment] : open_) {  // the last one, not full
    const std::size_t used = static_cast<std::size_t>(end_ - number * segment_size);
    const std::size_t whole = (used + alignment - 1) / alignment * alignment;
    std::memset(segment.bytes.get() + used, 0, whole - used);
    file_.write_at(number * segment_size, std::span(segment.bytes.get(), whole));
  }
  file_.truncate(end_);
  file_.sync();
  return end_;
}

}  // namespace kiln

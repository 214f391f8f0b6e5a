#include "catalog/unfinished_copy.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <span>
#include <sstream>
#include <system_error>
#include <thread>
#include <unordered_set>
#include <utility>

#include <kiln/file.h>

#include "catalog/store.h"
#include "process/process.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr const char* note_heading = "kiln-copy-1";

fs::path note_of(const StorePaths& paths, const std::string& lease) {
  return paths.staging() / (lease + ".copy");
}
fs::path pack_of(const StorePaths& paths, const std::string& lease) {
  return paths.staging() / (lease + ".pack");
}

struct Note {
  Digest content;
  std::string boot;
};

std::optional<Note> read_note(const fs::path& file) {
  try {
    std::istringstream text(read_text(file, 4096));
    std::string heading, content, boot;
    if (!(text >> heading >> content) || heading != note_heading) return std::nullopt;
    text >> boot;
    const auto digest = parse_digest(content);
    if (!digest) return std::nullopt;
    return Note{*digest, boot};
  } catch (const Error&) {
    return std::nullopt;  // gone, not written yet, or somebody else's
  }
}

fs::path write_note(const fs::path& path, const Digest& content) {
  const std::string text = std::string(note_heading) + "\nsha256:" + to_hex(content) + "\n" + host_boot_id() + "\n";
  NewFile note(path);
  note.file().write_at(0, std::as_bytes(std::span(text)));
  note.keep();
  return path;
}

/// The leases of unfinished copies of that content, the one with the largest pack first.
std::vector<std::string> candidates(const StorePaths& paths, const Digest& content) {
  // Whether a process of another host, or of a kernel that a network's file system has outlived, still writes cannot
  // be known from here.
  const std::string boot = host_boot_id();
  std::vector<std::pair<std::uint64_t, std::string>> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(paths.staging())) {
    if (entry.path().extension() != ".copy") continue;
    const std::string lease = entry.path().stem();
    const auto copy = unfinished_copy(paths, lease);
    const auto note = read_note(entry.path());
    if (copy && note && copy->content == content && !boot.empty() && note->boot == boot)
      found.emplace_back(copy->bytes, lease);
  }
  std::ranges::sort(found, std::greater<>{});
  std::vector<std::string> leases;
  leases.reserve(found.size());
  for (auto& [bytes, lease] : found) leases.push_back(std::move(lease));
  return leases;
}

/// Whoever has the note's lock knows that the process which wrote the pack is gone, with every thread that did.
bool take(const StorePaths& paths, const std::string& lease, const fs::path& into) {
  const fs::path note = note_of(paths, lease);
  const auto dead = FileLock::try_exclusive(note);
  if (!dead) return false;
  std::error_code error, ignored;
  fs::rename(pack_of(paths, lease), into, error);
  fs::remove(note, ignored);  // also when another copy was faster: then this is the name that the lock has just made
  return !error;
}

/// After an fsync that failed in the process that is gone, the kernel may have in memory what the disk has not.
void read_from_disk(const fs::path& pack) {
  File file = File::open_write(pack);
  file.sync();
  ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED);
}

bool has_header(const fs::path& pack) {
  std::array<std::byte, pack_header_size> header{}, expected{};
  put_pack_header(expected);
  return File::open_read(pack).read_some(0, header) == header.size() && header == expected;
}

/// The records without a gap between them, each of a chunk of the disk, each chunk once.
std::size_t count_in_sequence(std::span<const PackEntry> entries, const Manifest& manifest) {
  std::unordered_set<Digest> wanted;
  for (const Manifest::Entry& entry : manifest.entries()) wanted.insert(entry.digest);
  std::uint64_t at = pack_header_size;
  std::size_t count = 0;
  for (const PackEntry& entry : entries) {
    if (entry.offset != at || wanted.erase(entry.digest) == 0) break;
    at += record_header_size + entry.stored;
    ++count;
  }
  return count;
}

/// A record that the disk does not give back is as damaged as any other.
bool is_whole(const PackFile& pack, const PackEntry& entry) {
  try {
    return pack.damage(entry).empty();
  } catch (const Error&) {
    return false;
  }
}

/// How many of the first `count` records come before the first that is damaged. Reads them on all cores, and fewer when
/// that is stopped.
std::size_t count_whole(const PackFile& pack, std::size_t count, const std::stop_token& stop) {
  std::atomic<std::size_t> next = 0, end = count;
  const auto work = [&] {
    for (std::size_t i = next++; i < end && !stop.stop_requested(); i = next++) {
      if (is_whole(pack, pack.entries()[i])) continue;
      for (std::size_t known = end; i < known && !end.compare_exchange_weak(known, i);) {
      }
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
  work();
  threads.clear();  // waits for them
  return end;
}

std::vector<PackEntry> whole_records(const fs::path& file, const Manifest& manifest, const std::stop_token& stop) {
  read_from_disk(file);
  if (!has_header(file)) return {};
  const PackFile pack(file);
  const std::size_t count = count_whole(pack, count_in_sequence(pack.entries(), manifest), stop);
  return {pack.entries().begin(), pack.entries().begin() + static_cast<std::ptrdiff_t>(count)};
}

bool take_largest(const Store& store, const Digest& content, const fs::path& into) {
  const FileLock no_collection = store.keep_files();
  return std::ranges::any_of(candidates(store.paths, content),
                             [&](const std::string& lease) { return take(store.paths, lease, into); });
}

}  // namespace

CopyNote::CopyNote(const StorePaths& paths, const std::string& lease, const Digest& content)
    : file_(write_note(note_of(paths, lease), content)), alive_(FileLock::exclusive(file_)) {}

CopyNote::~CopyNote() {
  std::error_code ignored;
  if (!kept_) fs::remove(file_, ignored);
}

std::optional<UnfinishedCopy> unfinished_copy(const StorePaths& paths, const std::string& lease) {
  using namespace std::chrono;
  const auto note = read_note(note_of(paths, lease));
  const fs::path pack = pack_of(paths, lease);
  std::error_code gone;
  const auto written = fs::last_write_time(pack, gone);
  if (!note || gone) return std::nullopt;
  const std::uint64_t bytes = fs::file_size(pack, gone);
  const auto left = unfinished_copy_term - duration_cast<seconds>(fs::file_time_type::clock::now() - written);
  if (gone || left <= 0s) return std::nullopt;
  return UnfinishedCopy{note->content, bytes, later(now_moment(), left)};
}

std::vector<PackEntry> adopt_unfinished(const Store& store, const Manifest& manifest, const fs::path& into,
                                        const std::stop_token& stop) {
  std::vector<PackEntry> records;
  try {
    if (!take_largest(store, manifest.content(), into)) return {};
    records = whole_records(into, manifest, stop);
  } catch (const Error&) {
    // what cannot be read, locked or fsynced is not gone on from
  }
  if (stop.stop_requested()) throw cancelled();
  std::error_code ignored;
  if (records.empty()) fs::remove(into, ignored);
  return records;
}

}  // namespace kiln

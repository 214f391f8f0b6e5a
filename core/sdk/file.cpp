#include <kiln/file.h>
#include <kiln/finding.h>
#include <kiln/value.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <utility>

namespace kiln {
namespace {

int open_or_throw(const std::filesystem::path& path, int flags, const char* verb) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0644);
  if (fd < 0)
    throw system_error(std::string("cannot ") + verb + " " + path.string(), errno,
                       errno == ENOENT ? "is the path right?" : "");
  return fd;
}

std::string full_disk_hint(int error) {
  return error == ENOSPC || error == EDQUOT ? "free some space, or write to another disk" : "";
}

/// What the names of all pending files of a target begin with.
std::string pending_prefix(const std::filesystem::path& target) {
  return "." + target.filename().string().substr(0, 200) + ".kiln-";
}

/// A link stays what it is: the file that it names is replaced, or made when it is not there yet.
std::filesystem::path behind_links(std::filesystem::path path) {
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path, error); ++links) {
    if (links == 40) throw system_error("cannot write " + path.string(), ELOOP, "the symbolic links lead in a circle");
    path = path.parent_path() / std::filesystem::read_symlink(path, error);  // an absolute one replaces all of it
    if (error) throw system_error("cannot follow " + path.string(), error.value());
  }
  return path;
}

}  // namespace

File File::open_read(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  struct stat before {};  // a socket cannot be opened at all
  if (::stat(path.c_str(), &before) == 0 && S_ISSOCK(before.st_mode))
    throw invalid(path.string() + " is not a regular file", "give the path of a file").as(code::not_a_file);
  File file(open_or_throw(path, O_RDONLY | O_NONBLOCK, "open"), path);
  struct stat st {};
  if (::fstat(file.fd_, &st) != 0) throw system_error("cannot stat " + path.string(), errno);
  if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
    throw invalid(path.string() + " is not a regular file", "give the path of a file").as(code::not_a_file);
  return file;
}

File File::create(const std::filesystem::path& path) {
  return File(open_or_throw(path, O_RDWR | O_CREAT | O_EXCL, "create"), path);
}

File File::open_write(const std::filesystem::path& path) {
  return File(open_or_throw(path, O_RDWR, "open"), path);
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), begin_(other.begin_), length_(other.length_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(begin_, other.begin_);
  std::swap(length_, other.length_);
  return *this;
}

File File::again() const {
  const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) throw system_error("cannot open " + path_.string() + " once more", errno);
  File same(fd, path_);
  same.begin_ = begin_;
  same.length_ = length_;
  return same;
}

File File::part(std::uint64_t offset, std::uint64_t length, const std::string& name) const {
  const std::uint64_t whole = size();
  if (offset > whole || length > whole - offset)
    throw truncated(*this, name, length > UINT64_MAX - offset ? UINT64_MAX : offset + length);
  File run = again();
  run.begin_ += offset;
  run.length_ = length;
  run.path_ /= name;
  return run;
}

File File::called(std::filesystem::path path) const {
  File same = again();
  same.length_ = size();
  same.path_ = std::move(path);
  return same;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

std::uint64_t File::size() const {
  if (length_) return *length_;
  const off_t end = ::lseek(fd_, 0, SEEK_END);  // works for block devices, where st_size is 0
  if (end < 0) throw system_error("cannot find the size of " + path_.string(), errno);
  return static_cast<std::uint64_t>(end);
}

std::size_t File::read_some(std::uint64_t offset, std::span<std::byte> into) const {
  if (length_) into = into.first(std::min<std::uint64_t>(into.size(), *length_ - std::min(offset, *length_)));
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t n = ::pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(begin_ + offset + done));
    if (n == 0) break;
    if (n < 0) {
      if (errno == EINTR) continue;
      throw system_error("cannot read " + path_.string() + " at byte " + std::to_string(offset + done), errno);
    }
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void File::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  const std::size_t got = read_some(offset, into);
  if (got != into.size())
    throw Error(path_.string() + " is truncated", "get a complete copy of the file",
                {"bytes " + std::to_string(offset) + ".." + std::to_string(offset + into.size()) +
                 " are needed, the file ends at " + std::to_string(offset + got)})
        .as(code::truncated);
}

void File::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      throw system_error("cannot write " + path_.string(), errno, full_disk_hint(errno));
    }
    done += static_cast<std::size_t>(n);
  }
}

void File::truncate(std::uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
    throw system_error("cannot set the size of " + path_.string(), errno, full_disk_hint(errno));
}

void File::sync() {
  if (::fsync(fd_) != 0)
    throw system_error("cannot write " + path_.string() + " to the disk", errno, full_disk_hint(errno));
}

void File::start_writeback(std::uint64_t offset, std::uint64_t length) noexcept {
  ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(length), SYNC_FILE_RANGE_WRITE);
}

std::uint64_t File::seek(std::uint64_t offset, bool want_data) const {
  const off_t at = ::lseek(fd_, static_cast<off_t>(begin_ + offset), want_data ? SEEK_DATA : SEEK_HOLE);
  if (at >= 0) return std::min(static_cast<std::uint64_t>(at) - begin_, size());
  if (errno == ENXIO) return size();
  if (errno == EINVAL || errno == ENOTSUP) return want_data ? offset : size();  // a device or file system without holes
  throw system_error("cannot look for holes in " + path_.string(), errno);
}

NewFile::~NewFile() {
  if (!kept_) ::unlink(file_.path().c_str());
}

PendingFile::PendingFile(std::filesystem::path target) : target_(std::move(target)) {
  std::error_code unknown;
  const std::filesystem::file_status status = std::filesystem::status(target_, unknown);
  target_ = behind_links(target_);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw invalid(target_.string() + " is not a regular file", "give the path of a file: it would be replaced");
  // Two containers on one volume may both be process 1, so a number alone would not do.
  thread_local std::mt19937_64 random{std::random_device{}()};
  path_ = target_;
  path_.replace_filename(pending_prefix(target_) + std::to_string(::getpid()) + "-" + std::to_string(random()));
}

void PendingFile::remove_abandoned() const noexcept try {
  const std::string prefix = pending_prefix(target_), digits = "0123456789";
  const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::minutes(10);
  for (const auto& entry : std::filesystem::directory_iterator(path_.has_parent_path() ? path_.parent_path() : ".")) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || name == path_.filename()) continue;
    // Exactly "<number>-<number>": whatever else begins like this is not ours.
    const std::size_t dash = name.find_first_not_of(digits, prefix.size());
    if (dash == prefix.size() || dash == std::string::npos || name[dash] != '-' || dash + 1 == name.size() ||
        name.find_first_not_of(digits, dash + 1) != std::string::npos)
      continue;
    const pid_t owner = std::atoi(name.c_str() + prefix.size());
    const bool dead = owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH;
    const bool is_file = std::filesystem::is_regular_file(entry.symlink_status());
    if (dead && is_file && entry.last_write_time() < old) std::filesystem::remove(entry.path());
  }
} catch (const std::filesystem::filesystem_error&) {
  // it stays for the next one
}

PendingFile::~PendingFile() {
  if (!committed_) ::unlink(path_.c_str());
}

void PendingFile::commit(bool durable) {
  if (durable) File::open_write(path_).sync();
  std::error_code error;
  std::filesystem::rename(path_, target_, error);
  if (error) throw system_error("cannot name " + target_.string(), error.value());
  committed_ = true;
  if (durable) sync_directory(target_.has_parent_path() ? target_.parent_path() : ".");
}

void sync_directory(const std::filesystem::path& folder) {
  const int fd = open_or_throw(folder, O_RDONLY | O_DIRECTORY, "open");
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0) throw system_error("cannot write the folder " + folder.string() + " to the disk", error);
}

std::string read_text(const std::filesystem::path& path, std::uint64_t limit) {
  const File file = File::open_read(path);
  const std::uint64_t size = file.size();
  if (size > limit)
    throw Error(path.string() + " has " + format_bytes(size) + ", more than the " + format_bytes(limit) +
                    " that are read of such a file",
                "is it the right file?");
  std::string text(size, '\0');
  text.resize(file.read_some(0, std::as_writable_bytes(std::span(text))));
  return text;
}

void write_text(const std::filesystem::path& path, std::string_view text, bool durable) {
  PendingFile pending(path);
  File::create(pending.path()).write_at(0, std::as_bytes(std::span(text)));
  pending.commit(durable);
}

}  // namespace kiln

#include "origin/download_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

namespace kiln::import {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t longest_note = 64u << 10;

/// A damaged one is none.
std::optional<Note> read_note(const fs::path& path) try {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const json from = json::parse(read_text(path, longest_note));
  Note note{.url = from.at("url"),
            .validators = {from.at("etag"), from.at("modified")},
            .digests = {from.at("sha256"), from.at("sha512")},
            .size = std::nullopt,
            .checked = from.at("checked"),
            .boot = from.at("boot")};
  if (from.contains("size")) note.size = from.at("size").get<std::uint64_t>();
  return note;
} catch (const std::exception&) {
  return std::nullopt;
}

void write_note(const fs::path& path, const Note& note) {
  json to{{"url", note.url},
          {"etag", note.validators.etag},
          {"modified", note.validators.modified},
          {"sha256", note.digests.sha256},
          {"sha512", note.digests.sha512},
          {"checked", note.checked},
          {"boot", note.boot}};
  if (note.size) to["size"] = *note.size;
  write_text(path, to.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

bool has_name(const File& file) {
  struct stat open {
  }, named{};
  return ::fstat(file.fd(), &open) == 0 && ::stat(file.path().c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

}  // namespace

std::optional<Part> Part::try_take(const fs::path& path) {
  for (;;) {
    const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made < 0) throw system_error("cannot create " + path.string(), errno, "is the kiln home writable?");
    ::close(made);
    std::error_code gone;
    if (!fs::exists(path, gone)) continue;
    File file = File::open_write(path);
    if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::nullopt;
      throw system_error("cannot lock " + path.string(), errno, "put KILN_HOME on a disk of this host");
    }
    if (has_name(file)) return Part(std::move(file));  // else whoever had it has just finished it
  }
}

DownloadCache::DownloadCache(fs::path folder) : folder_(std::move(folder)) {
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST)
    throw system_error("cannot create " + folder_.string(), errno, "is the kiln home writable?");
}

std::string DownloadCache::key(const std::string& url, const Digests& expected) {
  if (!expected.sha256.empty()) return "sha256-" + expected.sha256;
  if (!expected.sha512.empty()) return "sha512-" + expected.sha512;
  return "url-" + to_hex(sha256(url));
}

std::optional<Note> DownloadCache::find(const std::string& key) const {
  std::optional<Note> note = read_note(folder_ / (key + ".json"));
  std::error_code error;
  if (!note || plain_digest(note->digests.sha256, Algorithm::sha256).empty() || !note->size) return std::nullopt;
  const fs::path file = folder_ / note->digests.sha256;
  if (!fs::is_regular_file(fs::symlink_status(file, error)) || fs::file_size(file, error) != *note->size) return {};
  return note;
}

File DownloadCache::open(const Note& note) const {
  return File::open_read(folder_ / note.digests.sha256);
}

void DownloadCache::write(const std::string& key, const Note& note) const {
  write_note(folder_ / (key + ".json"), note);
}

std::optional<Note> DownloadCache::part_note(const std::string& key) const {
  return read_note(folder_ / (key + ".part.json"));
}

void DownloadCache::write_part_note(const std::string& key, const Note& note) const {
  write_note(folder_ / (key + ".part.json"), note);
}

void DownloadCache::finish(const std::string& key, Part& part, const Note& note) const {
  const std::optional<Note> before = read_note(folder_ / (key + ".json"));
  part.file().sync();
  ::fchmod(part.file().fd(), 0400);
  std::error_code ignored;
  fs::remove(folder_ / (key + ".part.json"), ignored);  // once the part has no name, somebody else may begin one
  fs::rename(part.file().path(), folder_ / note.digests.sha256);
  sync_directory(folder_);
  write(key, note);
  if (!before || before->digests.sha256 == note.digests.sha256 || is_known(before->digests.sha256)) return;
  if (plain_digest(before->digests.sha256, Algorithm::sha256).empty()) return;
  fs::remove(folder_ / before->digests.sha256, ignored);
}

void DownloadCache::discard(const std::string& key) const {
  std::error_code ignored;
  fs::remove(part(key), ignored);
  fs::remove(folder_ / (key + ".part.json"), ignored);
}

bool DownloadCache::is_known(const std::string& sha256) const {
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() != ".json" || entry.path().stem().extension() == ".part") continue;
    if (const auto note = read_note(entry.path()); note && note->digests.sha256 == sha256) return true;
  }
  return false;
}

std::string this_boot() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

}  // namespace kiln::import

#pragma once
// Files that were downloaded, kept by their digest, and what is known of the URLs that they came from.
//
//     <sha256>         a file, complete
//     KEY.json         what it is that was asked for under that key: a Note
//     KEY.part         one that is being downloaded; whoever does it holds a lock on it
//     KEY.part.json    where it comes from
//
// A key is "sha256-…" or "sha512-…" when the digest was known beforehand, else "url-" and the URL's digest.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <kiln/file.h>

#include "origin/digests.h"
#include "origin/http.h"

namespace kiln::import {

/// What is known of a file that was downloaded, or is being so.
struct Note {
  std::string url;
  Validators validators;
  Digests digests;
  std::optional<std::uint64_t> size;  ///< of the whole file; nothing while that is not known
  std::int64_t checked = 0;           ///< when the server was last asked: seconds since 1970
  std::string boot;  ///< of the host, when it was written: later ones may have lost what was not synced
};

/// A file that is being downloaded. While it exists nobody else downloads the same.
class Part {
 public:
  /// Nothing while another process, or another object of this one, has it.
  static std::optional<Part> try_take(const std::filesystem::path&);
  File& file() noexcept { return file_; }

 private:
  explicit Part(File file) : file_(std::move(file)) {}
  File file_;
};

/// Any process, any thread: what is replaced is replaced in one step.
class DownloadCache {
 public:
  /// Makes the folder, readable by nobody else.
  explicit DownloadCache(std::filesystem::path folder);

  static std::string key(const std::string& url, const Digests& expected);
  /// Nothing when it is not there, or not what the note says.
  std::optional<Note> find(const std::string& key) const;
  /// The file of such a note.
  File open(const Note&) const;
  /// Notes that the server was asked once more.
  void write(const std::string& key, const Note&) const;

  std::filesystem::path part(const std::string& key) const { return folder_ / (key + ".part"); }
  std::optional<Note> part_note(const std::string& key) const;
  void write_part_note(const std::string& key, const Note&) const;
  /// It is complete. What the key meant before is removed, unless another one means the same.
  void finish(const std::string& key, Part&, const Note&) const;
  void discard(const std::string& key) const;

 private:
  bool is_known(const std::string& sha256) const;
  std::filesystem::path folder_;
};

std::string this_boot();

}  // namespace kiln::import

#include "machine/guest_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <cerrno>
#include <exception>
#include <memory>

#include <kiln/file.h>
#include <kiln/text.h>

namespace kiln {
namespace {

namespace fs = std::filesystem;
using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;
using Writer = std::unique_ptr<archive, decltype(&archive_write_free)>;
using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

Error failed(archive* a, const std::string& what) {
  const char* words = archive_error_string(a);
  return Error(what + (words != nullptr ? ": " + printable(words, 300) : std::string()));
}

/// What C code calls back. An exception must not go through it, so it waits here.
struct Feed {
  const std::function<std::string()>& next;
  std::string piece = {};
  std::exception_ptr thrown = {};
};

la_ssize_t feed(archive* a, void* data, const void** bytes) {
  Feed& from = *static_cast<Feed*>(data);
  try {
    from.piece = from.next();
    *bytes = from.piece.data();
    return static_cast<la_ssize_t>(from.piece.size());
  } catch (...) {
    from.thrown = std::current_exception();
    archive_set_error(a, ECANCELED, "stopped");
    return -1;
  }
}

struct Drain {
  const std::function<void(std::string_view)>& sink;
  std::exception_ptr thrown = {};
};

la_ssize_t drain(archive* a, void* data, const void* bytes, std::size_t size) {
  Drain& to = *static_cast<Drain*>(data);
  try {
    to.sink({static_cast<const char*>(bytes), size});
    return static_cast<la_ssize_t>(size);
  } catch (...) {
    to.thrown = std::current_exception();
    archive_set_error(a, ECANCELED, "stopped");
    return -1;
  }
}

/// The path below the archive's one folder; refused() when it could lead anywhere else.
fs::path below_top(const char* name) {
  if (name == nullptr || *name == '\0') throw refused("the guest sent an archive with an entry without a name");
  fs::path below;
  bool top = true;
  const fs::path path(name);
  for (const fs::path& part : path) {
    if (path.is_absolute() || part == "..")
      throw refused("the guest sent an archive that leads out of its folder", "do not trust this guest",
                    {printable(name, 300)});
    if (part.empty() || part == ".") continue;
    if (!std::exchange(top, false)) below /= part;
  }
  return below;
}

/// Whether a symlink at `below` to `to` stays in the folder, by its text. Behind a name ".." leads anywhere: the name
/// may be a link itself.
bool stays_inside(const fs::path& below, const fs::path& to) {
  if (to.is_absolute()) return false;
  int depth = -1;
  for (const fs::path& part : below) depth += part.empty() ? 0 : 1;
  bool named = false;
  for (const fs::path& part : to) {
    if (part == ".." && (named || --depth < 0)) return false;
    named = named || (part != ".." && part != "." && !part.empty());
  }
  return true;
}

class Unpacking {
 public:
  Unpacking(const std::function<std::string()>& next, fs::path target, std::uint64_t most)
      : feed_{next}, target_(std::move(target)), most_(most) {
    archive_read_support_format_tar(in_.get());
    archive_write_disk_set_options(out_.get(), ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
                                                   ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT);
  }

  CopyReport operator()() {
    check(archive_read_open(in_.get(), &feed_, nullptr, feed, nullptr));
    for (archive_entry* entry = nullptr;;) {
      const int result = archive_read_next_header(in_.get(), &entry);
      if (result == ARCHIVE_EOF) break;
      check(result);
      take(entry);
    }
    if (archive_write_close(out_.get()) < ARCHIVE_WARN) throw failed(out_.get(), "cannot write " + target_.string());
    return std::move(report_);
  }

 private:
  void check(int result) {
    if (feed_.thrown) std::rethrow_exception(feed_.thrown);
    if (result < ARCHIVE_WARN) throw failed(in_.get(), "the guest's archive cannot be read");
  }

  void take(archive_entry* entry) {
    const std::string name = archive_entry_pathname(entry) ? archive_entry_pathname(entry) : "";
    const fs::path below = below_top(name.c_str());
    if (!wanted(entry, below, name)) return;
    const auto size = static_cast<std::uint64_t>(std::max<la_int64_t>(0, archive_entry_size(entry)));
    if (size > most_) throw refused("the guest sent an archive that claims more than it holds");
    archive_entry_set_pathname(entry, (below.empty() ? target_ : target_ / below).c_str());
    archive_entry_set_perm(entry, archive_entry_perm(entry) & 0777);
    if (archive_write_header(out_.get(), entry) < ARCHIVE_WARN)
      throw failed(out_.get(), "cannot write " + printable((target_ / below).string()));
    const bool is_file = archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr;
    if (is_file) copy_data(below);
    if (archive_write_finish_entry(out_.get()) < ARCHIVE_WARN)
      throw failed(out_.get(), "cannot write " + printable((target_ / below).string()));
    report_.files += is_file ? 1 : 0;
  }

  /// Leads a hard link into the target, too.
  bool wanted(archive_entry* entry, const fs::path& below, const std::string& name) {
    if (const char* link = archive_entry_hardlink(entry)) {
      archive_entry_set_hardlink(entry, (target_ / below_top(link)).c_str());
      return true;
    }
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFREG || type == AE_IFDIR) return true;
    if (type != AE_IFLNK) return report_.leave_out(name, "neither file nor folder"), false;
    const char* to = archive_entry_symlink(entry);
    if (to != nullptr && stays_inside(below, to)) return true;
    return report_.leave_out(name, "a symlink that leads out of the folder"), false;
  }

  void copy_data(const fs::path& below) {
    for (;;) {
      const void* bytes = nullptr;
      std::size_t size = 0;
      la_int64_t offset = 0;
      const int result = archive_read_data_block(in_.get(), &bytes, &size, &offset);
      if (result == ARCHIVE_EOF) return;
      check(result);
      if (archive_write_data_block(out_.get(), bytes, size, offset) < ARCHIVE_WARN)
        throw failed(out_.get(), "cannot write " + printable((target_ / below).string()));
      report_.bytes += size;
    }
  }

  Feed feed_;
  const fs::path target_;
  const std::uint64_t most_;
  CopyReport report_;
  Reader in_{archive_read_new(), archive_read_free};
  Writer out_{archive_write_disk_new(), archive_write_free};
};

class Packing {
 public:
  explicit Packing(const std::function<void(std::string_view)>& sink) : drain_{sink} {
    archive_write_set_format_gnutar(out_.get());
    archive_write_set_bytes_per_block(out_.get(), 48 * 1024);
    archive_write_set_bytes_in_last_block(out_.get(), 1);
    check(archive_write_open(out_.get(), &drain_, nullptr, drain, nullptr));
  }

  void add(const fs::path& path, const std::string& name) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) throw system_error("cannot read " + path.string(), errno);
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && !S_ISLNK(status.st_mode))
      return report_.leave_out(name, "neither file nor folder");
    const Entry entry(archive_entry_new(), archive_entry_free);
    archive_entry_copy_stat(entry.get(), &status);
    archive_entry_set_uid(entry.get(), 0);
    archive_entry_set_gid(entry.get(), 0);
    archive_entry_set_pathname(entry.get(), name.c_str());
    if (S_ISLNK(status.st_mode)) archive_entry_set_symlink(entry.get(), fs::read_symlink(path).c_str());
    if (!S_ISREG(status.st_mode)) archive_entry_set_size(entry.get(), 0);
    check(archive_write_header(out_.get(), entry.get()));
    if (S_ISREG(status.st_mode)) add_data(path, static_cast<std::uint64_t>(status.st_size));
  }

  CopyReport finish() {
    check(archive_write_close(out_.get()));
    return std::move(report_);
  }

 private:
  void add_data(const fs::path& path, std::uint64_t size) {
    const File file = File::open_read(path);
    std::string bytes(256 * 1024, '\0');
    for (std::uint64_t at = 0; at < size;) {
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size - at));
      file.read_at(at, std::as_writable_bytes(std::span(bytes.data(), part)));
      if (archive_write_data(out_.get(), bytes.data(), part) < 0) check(ARCHIVE_FATAL);
      at += part;
    }
    report_.files += 1;
    report_.bytes += size;
  }

  void check(int result) {
    if (drain_.thrown) std::rethrow_exception(drain_.thrown);
    if (result < ARCHIVE_WARN) throw failed(out_.get(), "cannot pack the folder");
  }

  Drain drain_;
  CopyReport report_;
  Writer out_{archive_write_new(), archive_write_free};
};

}  // namespace

void CopyReport::leave_out(const std::string& name, const std::string& why) {
  ++left_out_count;
  if (left_out.size() < 20) left_out.push_back(printable(name, 300) + ": " + why);
}

CopyReport unpack(const std::function<std::string()>& next, const fs::path& target, std::uint64_t most) {
  // Symlinks above it are the user's own; those below were made by a guest.
  const fs::path parent = fs::canonical(fs::absolute(target).parent_path());
  return Unpacking(next, parent / target.filename(), most)();
}

CopyReport pack(const fs::path& folder, const std::string& name, const std::function<void(std::string_view)>& sink) {
  Packing packing(sink);
  packing.add(folder, name);
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    packing.add(entry.path(), (fs::path(name) / entry.path().lexically_relative(folder)).string());
  return packing.finish();
}

}  // namespace kiln

#include "machine/guest_copy.h"

#include <sys/stat.h>

#include <charconv>

#include <kiln/file.h>
#include <kiln/random.h>
#include <kiln/text.h>

namespace kiln {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// What stat(1) of the guest says. The permissions are unknown when the guest has no stat, or runs no programs for us.
struct GuestPath {
  bool exists = true, is_folder = false, is_file = true;
  std::optional<unsigned> permissions;
  std::uint64_t size = 0;
};

Error program_failed(const std::string& program, const GuestOutcome& outcome) {
  return Error(program + " in the guest " + describe(outcome.exit), {}, {printable(outcome.err, 1000)});
}

void run_checked(GuestAccess& guest, const std::string& program, std::vector<std::string> args) {
  const GuestOutcome outcome = guest.run({.program = program, .args = std::move(args), .limit = 10min});
  if (!outcome.exit.ok()) throw program_failed(program, outcome);
}

GuestPath look_at(GuestAccess& guest, const std::string& path) {
  GuestOutcome outcome;
  try {
    outcome = guest.run({"stat", {"-L", "-c", "%f %s", "--", path}});
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    return {};  // a file then, or the agent says what is wrong with it
  }
  if (!outcome.exit.ok()) return {.exists = false, .is_file = false, .permissions = {}};
  GuestPath found;
  unsigned mode = 0;
  const char* end = outcome.out.data() + outcome.out.size();
  const auto [at, failed] = std::from_chars(outcome.out.data(), end, mode, 16);
  if (failed != std::errc{} || at == end || std::from_chars(at + 1, end, found.size).ec != std::errc{})
    throw Error("stat in the guest answers in a way that kiln does not know");
  found.is_folder = S_ISDIR(mode);
  found.is_file = S_ISREG(mode);
  found.permissions = mode & 0777;
  return found;
}

/// A name in the guest for what is on its way; removed when it goes out of scope.
class GuestTemporary {
 public:
  explicit GuestTemporary(GuestAccess& guest) : guest_(guest) { path_ = "/tmp/kiln-" + random_hex(8) + ".tar"; }
  GuestTemporary(const GuestTemporary&) = delete;
  GuestTemporary& operator=(const GuestTemporary&) = delete;
  ~GuestTemporary() {
    try {
      guest_.run({.program = "rm", .args = {"-f", path_}, .limit = 10s});
    } catch (const std::exception&) {
      // the guest's next clearing of /tmp takes it
    }
  }
  const std::string& path() const { return path_; }

 private:
  GuestAccess& guest_;
  std::string path_;
};

void require_absolute(const std::string& path) {
  if (!path.starts_with('/')) throw invalid("a path in a guest begins with \"/\", not \"" + path + "\"");
}

std::string name_of(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

std::string folder_of(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

/// Counts what goes by.
class Meter {
 public:
  Meter(const CopyProgress& told, std::uint64_t total) : told_(told), total_(total) {}
  void add(std::uint64_t bytes) {
    done_ += bytes;
    if (told_) told_(done_, std::max(done_, total_));
  }
  std::uint64_t done() const { return done_; }

 private:
  const CopyProgress& told_;
  std::uint64_t total_, done_ = 0;
};

CopyReport file_from_guest(GuestAccess& guest, const std::string& from, const GuestPath& source, const fs::path& to,
                           const CopyProgress& progress) {
  // Files of /proc say that they are empty; a file that is being written may grow a little.
  constexpr std::uint64_t slack = 4u << 20;
  const bool is_known = source.permissions.has_value();  // of a guest that runs no programs nothing is
  Meter meter(progress, source.size);
  PendingFile pending(to);
  {
    NewFile made(pending.path());
    GuestFile file(guest, from, GuestFile::Mode::read);
    for (std::string bytes; !(bytes = file.read()).empty(); meter.add(bytes.size())) {
      if (is_known && meter.done() > source.size + slack)
        throw Error("\"" + from + "\" in the guest is longer than it said");
      made.file().write_at(meter.done(), std::as_bytes(std::span(bytes)));
    }
    if (source.permissions) ::fchmod(made.file().fd(), *source.permissions);
    made.keep();
  }
  pending.commit(false);
  return {.files = 1, .bytes = meter.done()};
}

CopyReport folder_from_guest(GuestAccess& guest, const std::string& from, const fs::path& to,
                             const CopyProgress& progress) {
  const GuestTemporary tar(guest);
  const std::string name = name_of(from);
  run_checked(guest, "tar", {"-c", "-f", tar.path(), "-C", folder_of(from), "./" + name});
  const std::uint64_t size = look_at(guest, tar.path()).size;
  // The agent hands out pieces when it is asked, the archive asks for them as it is unpacked.
  Meter meter(progress, size);
  GuestFile file(guest, tar.path(), GuestFile::Mode::read);
  const auto next = [&] {
    std::string bytes = meter.done() >= size ? std::string() : file.read();
    meter.add(bytes.size());
    return bytes;
  };
  return unpack(next, to, size);
}

CopyReport file_to_guest(GuestAccess& guest, const fs::path& from, const std::string& to,
                         const CopyProgress& progress) {
  const File file = File::open_read(from);
  Meter meter(progress, file.size());
  GuestFile there(guest, to, GuestFile::Mode::write);
  std::string bytes(GuestFile::piece, '\0');
  while (const std::size_t n = file.read_some(meter.done(), std::as_writable_bytes(std::span(bytes)))) {
    there.write({bytes.data(), n});
    meter.add(n);
  }
  there.close();
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) throw system_error("cannot read " + from.string(), errno);
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", status.st_mode & 0777u);
  try {
    run_checked(guest, "chmod", {mode.data(), to});
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    // it is there, with the permissions that the agent gives
  }
  return {.files = 1, .bytes = meter.done()};
}

std::uint64_t size_of_folder(const fs::path& folder) {
  std::uint64_t total = 0;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file(ignored) && !entry.is_symlink(ignored)) total += entry.file_size(ignored);
  return total;
}

CopyReport folder_to_guest(GuestAccess& guest, const fs::path& from, const std::string& to,
                           const CopyProgress& progress) {
  const GuestTemporary tar(guest);
  Meter meter(progress, size_of_folder(from));
  GuestFile there(guest, tar.path(), GuestFile::Mode::write);
  CopyReport report = pack(from, name_of(to), [&](std::string_view bytes) {
    there.write(bytes);
    meter.add(bytes.size());
  });
  there.close();
  run_checked(guest, "tar", {"-x", "-p", "-f", tar.path(), "-C", folder_of(to)});
  return report;
}

}  // namespace

CopyReport copy_from_guest(GuestAccess& guest, const std::string& from, const fs::path& to,
                           const CopyProgress& progress) {
  require_absolute(from);
  const std::string name = name_of(from);
  const GuestPath source = look_at(guest, from);
  if (!source.exists) throw Error("there is no \"" + from + "\" in the guest");
  if (!source.is_file && !source.is_folder) throw refused("\"" + from + "\" in the guest is neither file nor folder");
  if (name.empty() || name == "." || name == "..")
    throw invalid("\"" + from + "\" has no name to copy it under", "give the folder's own path");
  const fs::path target = fs::is_directory(to) ? to / name : to;
  if (!target.has_filename()) throw invalid("there is no folder " + to.string());
  return source.is_folder ? folder_from_guest(guest, from, target, progress)
                          : file_from_guest(guest, from, source, target, progress);
}

CopyReport copy_to_guest(GuestAccess& guest, const fs::path& from, const std::string& to,
                         const CopyProgress& progress) {
  require_absolute(to);
  if (!fs::exists(from)) throw invalid("there is no " + from.string());
  const fs::path whole = fs::canonical(from);
  const bool into = to.ends_with('/') || look_at(guest, to).is_folder;
  const std::string target = into ? to + (to.ends_with('/') ? "" : "/") + whole.filename().string() : to;
  return fs::is_directory(whole) ? folder_to_guest(guest, whole, target, progress)
                                 : file_to_guest(guest, whole, target, progress);
}

}  // namespace kiln

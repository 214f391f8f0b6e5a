// The guest's files, through the appliance. The appliance resolves every path inside the guest's own root.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include <fmt/format.h>

#include <kiln/text.h>

#include "guest/paths.h"
#include "guest/state.h"
#include "guest/text.h"
#include "process/process.h"

namespace kiln {
namespace {

/// One message of libguestfs' protocol holds 4 MiB; what is longer travels as a file.
constexpr std::size_t message_limit = 2u << 20;
constexpr std::size_t output_kept = 1u << 20;

/// A file without a name, for what must not reach the host's disks.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("kiln-guest", MFD_CLOEXEC)) {
    if (fd_ < 0) throw system_error("cannot make a file in memory", errno);
  }
  explicit MemoryFile(std::string_view content) : MemoryFile() {
    while (!content.empty()) {
      const ssize_t n = ::write(fd_, content.data(), content.size());
      if (n < 0 && errno != EINTR) throw system_error("cannot write a file in memory", errno);
      if (n > 0) content.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  std::string name() const { return fmt::format("/proc/self/fd/{}", fd_); }
  std::string content(std::size_t size) const {
    std::string text(size, '\0');
    std::size_t at = 0;
    while (at < size) {
      const ssize_t n = ::pread(fd_, text.data() + at, size - at, static_cast<off_t>(at));
      if (n < 0 && errno != EINTR) throw system_error("cannot read a file in memory", errno);
      if (n == 0) throw Error("a file of the guest became shorter while it was read");
      if (n > 0) at += static_cast<std::size_t>(n);
    }
    return text;
  }

 private:
  int fd_;
};

bool is_regular(guestfs_h* g, const Appliance& a, const std::string& path) {
  const struct guestfs_is_file_opts_argv follow { GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS_BITMASK, 1 };
  return a.truth(guestfs_is_file_opts_argv(g, path.c_str(), &follow), "cannot look at " + path);
}

/// The command's own status, a line end, and its last output. Waits for every program that still holds its output open.
std::string wrapped(const std::string& command) {
  return "export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "
         "DEBIAN_FRONTEND=noninteractive\n"
         "umask 022\ncd /\n"
         "if command -v tail >/dev/null 2>&1; then last() { tail -c " +
         std::to_string(output_kept) +
         "; }; else last() { cat; }; fi\n"
         "{ {\n(\n" +
         command + "\n) </dev/null 2>&1 3>&-\necho $? >&3\n} | last; } 3>&1\n";
}

}  // namespace

void Session::State::need_regular(const std::string& path, const char* verb) {
  guestfs_h* g = files();
  if (is_regular(g, *appliance, path)) return;
  if (!appliance->truth(guestfs_exists(g, path.c_str()), "cannot look at " + path)) return;
  throw Error(fmt::format("cannot {} {}: it is not a regular file", verb, printable(path)),
              "in the guest this name is a folder, a device, a FIFO or a socket");
}

void Session::State::send(const std::string& host, const std::string& path) {
  appliance->check(guestfs_upload(appliance->handle(), host.c_str(), path.c_str()), "cannot write " + path);
}

bool Session::exists(const std::string& path) {
  guestfs_h* g = state_->files();
  return state_->appliance->truth(guestfs_exists(g, path.c_str()), "cannot look at " + path);
}

bool Session::is_file(const std::string& path) {
  guestfs_h* g = state_->files();
  return is_regular(g, *state_->appliance, path);
}

bool Session::is_directory(const std::string& path) {
  state_->files();
  return is_folder(*state_->appliance, path);
}

std::string Session::read(const std::string& path, std::uint64_t limit) {
  state_->need_regular(path, "read");
  guestfs_h* g = state_->files();
  const Appliance& a = *state_->appliance;
  const auto size = static_cast<std::uint64_t>(a.number(guestfs_filesize(g, path.c_str()), "cannot read " + path));
  if (size > limit)
    throw Error(fmt::format("{} in the guest has {}, more than the {} that are read of it", printable(path),
                            format_bytes(size), format_bytes(limit)));
  const MemoryFile copy;
  a.check(guestfs_download(g, path.c_str(), copy.name().c_str()), "cannot read " + path);
  return copy.content(size);
}

void Session::write(const std::string& path, std::string_view content) {
  state_->need_regular(path, "write");
  guestfs_h* g = state_->files();
  if (content.size() > message_limit) return state_->send(MemoryFile(content).name(), path);
  state_->appliance->check(guestfs_write(g, path.c_str(), content.data(), content.size()), "cannot write " + path);
}

void Session::append(const std::string& path, std::string_view content) {
  state_->need_regular(path, "write");
  guestfs_h* g = state_->files();
  do {
    const std::string_view piece = content.substr(0, message_limit);
    state_->appliance->check(guestfs_write_append(g, path.c_str(), piece.data(), piece.size()),
                             "cannot append to " + path);
    content.remove_prefix(piece.size());
  } while (!content.empty());
}

void Session::upload(const std::filesystem::path& host, const std::string& path) {
  if (!std::filesystem::is_regular_file(host)) throw Error("not a regular file: " + host.string());
  state_->need_regular(path, "write");
  state_->send(host.string(), path);
}

// The owner is root and the names are in order, whoever runs kiln: the same folder makes the same guest.
void Session::copy_in(const std::filesystem::path& host, const std::string& directory) {
  const std::filesystem::path from = std::filesystem::canonical(host);
  const std::filesystem::path tar = state_->options.run_dir / "copy-in.tar";
  run_checked({"tar",
               {"--create", "--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--file", tar.string(),
                "--directory", from.parent_path().string(), "--", from.filename().string()}},
              {.stop = state_->options.stop});
  unpack(tar, directory);
  std::filesystem::remove(tar);
}

void Session::unpack(const std::filesystem::path& tar, const std::string& directory) {
  guestfs_h* g = state_->files();
  const std::string folder = real_path(*state_->appliance, directory);
  state_->appliance->check(guestfs_tar_in_opts(g, tar.c_str(), folder.c_str(), -1),
                           fmt::format("cannot unpack {} into {}", tar.filename().string(), directory));
}

void Session::make_directory(const std::string& path) {
  guestfs_h* g = state_->files();
  // mkdir-p takes a link on the way for what is in the way, so it gets the part that exists without links.
  std::size_t end = path.size();
  while (end > 1 && !is_folder(*state_->appliance, path.substr(0, end))) {
    const std::size_t slash = path.rfind('/', end - 1);
    end = slash == std::string::npos || slash == 0 ? 1 : slash;
  }
  if (end == path.size()) return;
  const std::string whole = real_path(*state_->appliance, path.substr(0, end)) + "/" + path.substr(end);
  state_->appliance->check(guestfs_mkdir_p(g, whole.c_str()), "cannot make the folder " + path);
}

void Session::link(const std::string& target, const std::string& path) {
  guestfs_h* g = state_->files();
  const auto name = name_in_folder(*state_->appliance, path);
  if (!name) throw Error("cannot link " + printable(path) + ": there is no such folder");
  // ln would follow a link that is in the way, and put the new one into a folder that it leads to.
  if (state_->appliance->truth(guestfs_is_symlink(g, name->c_str()), "cannot look at " + path))
    state_->appliance->check(guestfs_rm(g, name->c_str()), "cannot replace the link " + path);
  else if (is_folder(*state_->appliance, *name))
    throw Error("cannot link " + printable(path) + ": a folder is in the way",
                "delete it first, or choose another path");
  state_->appliance->check(guestfs_ln_sf(g, target.c_str(), name->c_str()), "cannot link " + path);
}

void Session::chmod(const std::string& path, unsigned mode) {
  guestfs_h* g = state_->files();
  state_->appliance->check(guestfs_chmod(g, static_cast<int>(mode), path.c_str()), "cannot change the mode of " + path);
}

void Session::chown(const std::string& path, std::int64_t uid, std::int64_t gid) {
  guestfs_h* g = state_->files();
  state_->appliance->check(guestfs_chown(g, static_cast<int>(uid), static_cast<int>(gid), path.c_str()),
                           "cannot change the owner of " + path);
}

void Session::remove(const std::string& path) {
  guestfs_h* g = state_->files();
  if (const auto name = name_in_folder(*state_->appliance, path))
    state_->appliance->check(guestfs_rm_rf(g, name->c_str()), "cannot remove " + path);
}

void Session::truncate(const std::string& path) {
  state_->need_regular(path, "empty");
  guestfs_h* g = state_->files();
  state_->appliance->check(guestfs_truncate(g, path.c_str()), "cannot empty " + path);
}

std::vector<std::string> Session::glob(const std::string& pattern) {
  guestfs_h* g = state_->files();
  // Without this option a folder would be answered with a "/" after its name.
  const struct guestfs_glob_expand_opts_argv plain { GUESTFS_GLOB_EXPAND_OPTS_DIRECTORYSLASH_BITMASK, 0 };
  return state_->appliance->list(guestfs_glob_expand_opts_argv(g, pattern.c_str(), &plain),
                                 "cannot look for " + pattern);
}

std::string Session::run(const std::string& command) {
  guestfs_h* g = state_->files();
  const std::string reply =
      state_->appliance->text(guestfs_sh(g, wrapped(command).c_str()), "cannot run a command in the guest");
  const std::size_t end = reply.find('\n');
  const std::string status = reply.substr(0, end);
  std::string output = end == std::string::npos ? std::string() : reply.substr(end + 1);
  for (const std::string& line : last_lines(output, 10000)) state_->log(line);
  if (status == "0") return output;
  throw Error(fmt::format("a command in the guest ended with status {}: {}", printable(status, 8),
                          printable(command.substr(0, command.find('\n')), 120)),
              {}, last_lines(output));
}

std::vector<std::string> Session::filesystems() {
  guestfs_h* g = state_->running().handle();
  const std::vector<std::string> found =
      state_->appliance->list(guestfs_list_filesystems(g), "cannot list the file systems");
  std::vector<std::string> pairs;
  for (std::size_t i = 0; i + 1 < found.size(); i += 2) pairs.push_back(printable(found[i] + " " + found[i + 1]));
  return pairs;
}

}  // namespace kiln

#include "guest/viewer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include <kiln/file.h>
#include <kiln/text.h>

#include "guest/appliance.h"
#include "guest/drive.h"
#include "guest/root.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t text_limit = 256;
constexpr std::size_t most_files = 2'000'000, most_packages = 200'000, most_partitions = 256;
constexpr std::uint64_t most_names = 512u << 20, piece_size = 32u << 20;
constexpr std::size_t socket_folder_limit = 107 - 1 - 12;

using StatList = std::unique_ptr<guestfs_statns_list, decltype(&guestfs_free_statns_list)>;
using PackageList = std::unique_ptr<guestfs_application2_list, decltype(&guestfs_free_application2_list)>;
using PartitionList = std::unique_ptr<guestfs_partition_list, decltype(&guestfs_free_partition_list)>;

/// An answer that the guest may have none for.
std::string optional_text(char* owned) {
  if (owned == nullptr) return "";
  std::string text = printable(owned, text_limit);
  std::free(owned);
  return text;
}

std::string text_of(const char* words) {
  return words == nullptr ? "" : printable(words, text_limit);
}

std::vector<char*> pointers(std::span<const std::string> words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (const std::string& word : words) all.push_back(const_cast<char*>(word.c_str()));
  all.push_back(nullptr);
  return all;
}

ViewedPackage package_of(const guestfs_application2& app) {
  std::string version = app.app2_epoch > 0 ? std::to_string(app.app2_epoch) + ":" : "";
  version += text_of(app.app2_version);
  if (const std::string release = text_of(app.app2_release); !release.empty()) version += "-" + release;
  return {text_of(app.app2_name), text_of(app.app2_arch), version};
}

ViewedFile file_of(const std::string& folder, const std::string& name, const struct guestfs_statns& st) {
  ViewedFile file;
  file.path = folder == "/" ? "/" + name : folder + "/" + name;
  file.mode = static_cast<std::uint32_t>(st.st_mode);
  file.uid = st.st_uid;
  file.gid = st.st_gid;
  file.size = static_cast<std::uint64_t>(st.st_size);
  file.inode = static_cast<std::uint64_t>(st.st_ino);
  file.modified = st.st_mtime_sec * 1'000'000'000 + st.st_mtime_nsec;
  file.changed = st.st_ctime_sec * 1'000'000'000 + st.st_ctime_nsec;
  return file;
}

/// The names by folder. They come from a list that a stranger's disk may make long.
std::map<std::string, std::vector<std::string>> by_folder(std::string_view list, std::vector<std::string>& notes) {
  std::map<std::string, std::vector<std::string>> folders;
  std::size_t count = 0;
  for (std::size_t at = 0, end = 0; (end = list.find('\0', at)) != std::string_view::npos; at = end + 1) {
    if (++count > most_files) {
      notes.push_back(fmt::format("there are more than {} files: the others were not looked at", most_files));
      break;
    }
    const std::string_view path = list.substr(at, end - at);
    const std::size_t slash = path.rfind('/');
    const bool top = slash == std::string_view::npos;
    folders[top ? "/" : "/" + std::string(path.substr(0, slash))].emplace_back(top ? path : path.substr(slash + 1));
  }
  return folders;
}

}  // namespace

struct Viewer::State {
  ViewerOptions options;
  Listener listener;
  fs::path sockets;
  bool own_sockets = false;
  std::vector<std::unique_ptr<Drive>> drives;
  std::unique_ptr<Appliance> appliance;
  std::vector<std::optional<Root>> roots;
  std::optional<unsigned> mounted;

  ~State() {
    appliance.reset();
    drives.clear();
    if (std::error_code ignored; own_sockets) fs::remove_all(sockets, ignored);
  }

  guestfs_h* handle() const { return appliance->handle(); }
  static std::string device(unsigned disk) { return std::string("/dev/sd") + static_cast<char>('a' + disk); }

  void make_sockets();
  void mount(unsigned disk, std::vector<std::string>& notes);
  void list_partitions(unsigned disk, GuestView& view) const;
  void list_packages(unsigned disk, GuestView& view) const;
  void list_files(GuestView& view) const;
  void list_folder(const std::string& folder, std::vector<std::string> names, GuestView& view) const;
};

void Viewer::State::make_sockets() {
  sockets = options.run_dir;
  if (sockets.native().size() > socket_folder_limit) {
    std::string name = (fs::temp_directory_path() / "kiln-guest-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot make a folder for sockets: " + name, errno);
    sockets = name;
    own_sockets = true;
  }
  for (std::size_t i = 0; i < options.overlays.size(); ++i) fs::create_directory(sockets / std::to_string(i));
}

Viewer::Viewer(ViewerOptions options) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.options = std::move(options);
  s.listener.progress = s.options.progress;
  if (s.options.stop.stop_requested()) throw cancelled();
  s.make_sockets();
  for (std::size_t i = 0; i < s.options.overlays.size(); ++i)
    s.drives.push_back(std::make_unique<Drive>(s.options.overlays[i], s.sockets / std::to_string(i)));
  ApplianceOptions wanted{.drive_socket = s.drives[0]->socket(),
                          .folder = fs::absolute(s.options.run_dir),
                          .force_tcg = s.options.force_tcg,
                          .stop = s.options.stop,
                          .sandboxed = s.options.sandboxed};
  if (s.drives.size() > 1) wanted.second_socket = s.drives[1]->socket();
  s.appliance = std::make_unique<Appliance>(wanted, s.listener);
  s.roots.resize(s.drives.size());
}

Viewer::~Viewer() = default;

bool Viewer::distinguishes() const {
  if (state_->drives.size() < 2) return true;
  const Appliance& a = *state_->appliance;
  if (!a.list(guestfs_pvs(a.handle()), "cannot list the volume groups").empty()) return false;
  if (!a.list(guestfs_list_md_devices(a.handle()), "cannot list the arrays").empty()) return false;
  const auto pairs = a.list(guestfs_list_filesystems(a.handle()), "cannot list the file systems");
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
    if (pairs[i + 1] == "btrfs") return false;
  return true;
}

void Viewer::State::mount(unsigned disk, std::vector<std::string>& notes) {
  if (mounted == disk) return;
  appliance->check(guestfs_umount_all(handle()), "cannot unmount the guest's file systems");
  mounted.reset();
  mount_root(
      *appliance, roots[disk].value(), [&](std::string_view line) { notes.emplace_back(line); }, true);
  mounted = disk;
}

void Viewer::State::list_partitions(unsigned disk, GuestView& view) const {
  guestfs_h* g = handle();
  const std::string whole = device(disk);
  view.table = optional_text(guestfs_part_get_parttype(g, whole.c_str()));
  if (view.table.empty()) return;
  const PartitionList found(guestfs_part_list(g, whole.c_str()), guestfs_free_partition_list);
  if (!found) return view.notes.push_back("the partition table cannot be read");
  for (std::uint32_t i = 0; i < std::min<std::size_t>(found->len, most_partitions); ++i) {
    const guestfs_partition& p = found->val[i];
    ViewedPartition part{p.part_num, p.part_start, p.part_end, "", "", "", ""};
    const std::string name = whole + std::to_string(p.part_num);
    if (view.table == "gpt")
      part.type = optional_text(guestfs_part_get_gpt_type(g, whole.c_str(), p.part_num));
    else if (const int id = guestfs_part_get_mbr_id(g, whole.c_str(), p.part_num); id >= 0)
      part.type = fmt::format("{:02x}", id);
    part.filesystem = optional_text(guestfs_vfs_type(g, name.c_str()));
    part.label = optional_text(guestfs_vfs_label(g, name.c_str()));
    part.uuid = optional_text(guestfs_vfs_uuid(g, name.c_str()));
    view.partitions.push_back(std::move(part));
  }
}

void Viewer::State::list_packages(unsigned disk, GuestView& view) const {
  const std::string root = roots[disk]->mounts.empty() ? device(disk) : roots[disk]->mounts.front().second;
  const PackageList found(guestfs_inspect_list_applications2(handle(), root.c_str()), guestfs_free_application2_list);
  if (!found)
    return view.notes.push_back("the list of packages cannot be read: " + text_of(appliance->last_error().c_str()));
  if (found->len > most_packages) view.notes.push_back(fmt::format("only {} packages were looked at", most_packages));
  for (std::uint32_t i = 0; i < std::min<std::size_t>(found->len, most_packages); ++i)
    view.packages.push_back(package_of(found->val[i]));
  std::ranges::sort(view.packages, {}, [](const ViewedPackage& p) { return std::tie(p.name, p.arch, p.version); });
}

void Viewer::State::list_folder(const std::string& folder, std::vector<std::string> names, GuestView& view) const {
  if (options.stop.stop_requested()) throw cancelled();
  std::ranges::sort(names);
  // So that one message of the appliance holds the names and the answers.
  for (std::span<const std::string> rest = names; !rest.empty();) {
    const auto some = rest.first(std::min<std::size_t>(rest.size(), 1000));
    rest = rest.subspan(some.size());
    const StatList found(guestfs_lstatnslist(handle(), folder.c_str(), pointers(some).data()),
                         guestfs_free_statns_list);
    if (!found) appliance->fail("cannot look at " + folder);
    std::vector<std::string> links;
    const std::size_t first = view.files.size();
    for (std::uint32_t i = 0; i < std::min<std::size_t>(found->len, some.size()); ++i) {
      if (found->val[i].st_ino == -1) continue;  // it cannot be looked at
      view.files.push_back(file_of(folder, some[i], found->val[i]));
      if (view.files.back().is_link()) links.push_back(some[i]);
    }
    if (links.empty()) continue;
    const auto targets =
        appliance->list(guestfs_readlinklist(handle(), folder.c_str(), pointers(links).data()), "cannot read links");
    for (std::size_t i = first, link = 0; i < view.files.size() && link < targets.size(); ++i)
      if (view.files[i].is_link()) view.files[i].target = targets[link++];
  }
}

void Viewer::State::list_files(GuestView& view) const {
  const fs::path list = options.run_dir / "names";
  appliance->check(guestfs_find0(handle(), "/", list.c_str()), "cannot list the guest's files");
  const std::string names = read_text(list, most_names);
  fs::remove(list);
  for (auto& [folder, in_it] : by_folder(names, view.notes)) list_folder(folder, std::move(in_it), view);
  std::ranges::sort(view.files, {}, &ViewedFile::path);
}

GuestView Viewer::look(unsigned disk) {
  State& s = *state_;
  GuestView view;
  s.mounted.reset();
  s.list_partitions(disk, view);
  s.roots.at(disk) = find_root_on(*s.appliance, State::device(disk));
  if (!s.roots[disk]) {
    view.notes.emplace_back("no operating system was found");
    return view;
  }
  view.os = s.roots[disk]->facts;
  s.mount(disk, view.notes);
  s.list_packages(disk, view);
  s.list_files(view);
  return view;
}

void Viewer::read(unsigned disk, const ViewedFile& file, const std::function<void(std::span<const std::byte>)>& piece) {
  State& s = *state_;
  std::vector<std::string> told_before;
  s.mount(disk, told_before);
  const int memory = ::memfd_create("kiln-guest", MFD_CLOEXEC);
  if (memory < 0) throw system_error("cannot make a file in memory", errno);
  const std::unique_ptr<const int, void (*)(const int*)> closed(&memory, [](const int* fd) { ::close(*fd); });
  const std::string name = fmt::format("/proc/self/fd/{}", memory);
  std::vector<std::byte> bytes;
  for (std::uint64_t at = 0; at < file.size; at += bytes.size()) {
    bytes.resize(std::min(piece_size, file.size - at));
    s.appliance->check(guestfs_download_offset(s.handle(), file.path.c_str(), name.c_str(),
                                               static_cast<std::int64_t>(at), static_cast<std::int64_t>(bytes.size())),
                       "cannot read " + file.path);
    const ssize_t got = ::pread(memory, bytes.data(), bytes.size(), 0);
    if (got != static_cast<ssize_t>(bytes.size()))
      throw Error("cannot read " + printable(file.path) + " in the guest: it ends early");
    piece(bytes);
  }
}

void Viewer::close() {
  if (!state_->appliance) return;
  state_->appliance->shutdown();
  state_->appliance.reset();
  for (const auto& drive : state_->drives) drive->close();
  state_->drives.clear();
}

}  // namespace kiln

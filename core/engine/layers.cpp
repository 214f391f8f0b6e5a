#include "engine/layers.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cerrno>

#include <kiln/file.h>

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view work_prefix = ".work-";

FileLock take_names(const Layers& layers) {
  return FileLock::exclusive(layers.folder() / ".lock");
}

bool is_work(const fs::path& path) {
  return path.filename().string().starts_with(work_prefix);
}

/// ".work-<pid>-<random>" of ".work-<pid>-<random>-<i>".
fs::path owner_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const auto pid = name.find('-', work_prefix.size());
  const auto n = pid == std::string::npos ? pid : name.find('-', pid + 1);
  return path.parent_path() / name.substr(0, n);
}

std::string pid_of(const fs::path& path) {
  const std::string name = path.filename().string().substr(work_prefix.size());
  return name.substr(0, name.find('-'));
}

bool alive(const fs::path& work) {
  const fs::path lock = owner_of(work) / "lock";
  std::error_code error;
  return fs::exists(lock, error) && !FileLock::try_exclusive(lock);
}

/// With the names locked. A run makes its folder and takes its lock under the same lock, so a folder without a held
/// lock is dead.
void remove_dead(const Layers& layers) {
  std::error_code error;
  std::vector<fs::path> dead;
  for (const auto& entry : fs::directory_iterator(layers.folder()))
    if (is_work(entry.path()) && !alive(entry.path())) dead.push_back(entry.path());
  for (const fs::path& path : dead) remove_tree(path);
}

/// Which mount a name lies on: two of one file system (a bind mount) are two. Zero when it cannot be told.
std::uint64_t mount_of(const char* path) {
  struct statx found {};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  return ::statx(AT_FDCWD, path, flags, STATX_MNT_ID, &found) == 0 ? found.stx_mnt_id : 0;
}

void make_read_only(const fs::path& file) {
  File::open_write(file).sync();
  if (::chmod(file.c_str(), 0444) != 0) throw system_error("cannot seal " + file.string(), errno);
}

}  // namespace

void remove_tree(const fs::path& top) noexcept {
  const auto home = mount_of(top.c_str());
  std::string name = top.string();
  char* const paths[] = {name.data(), nullptr};
  FTS* walk = ::fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, nullptr);
  if (walk == nullptr) return;
  while (FTSENT* entry = ::fts_read(walk)) {
    if (entry->fts_info == FTS_D) {
      if (mount_of(entry->fts_accpath) != home)
        ::fts_set(walk, entry, FTS_SKIP);
      else if ((entry->fts_statp->st_mode & S_IRWXU) != S_IRWXU)
        ::chmod(entry->fts_accpath, S_IRWXU);
    } else if (entry->fts_info == FTS_DP || entry->fts_info == FTS_DNR) {
      ::rmdir(entry->fts_accpath);  // a place where something is mounted stays: it is busy
    } else if (mount_of(entry->fts_accpath) == home) {
      ::unlink(entry->fts_accpath);
    }
  }
  ::fts_close(walk);
}

std::optional<Record> Layers::find(const std::string& key) const {
  const std::optional<Record> record = read_record(folder_ / key / "layer.json");
  std::error_code error;
  for (std::optional<Record> at = record; at;) {
    if (!at->content || !fs::exists(disk(at->key), error) || !fs::exists(manifest(at->key), error)) return std::nullopt;
    if (at->parent.empty()) return record;
    // A layer that was lost and built again has the same key, but seldom the same bytes.
    std::optional<Record> parent = read_record(folder_ / at->parent / "layer.json");
    if (!parent || parent->content != at->parent_content) return std::nullopt;
    at = std::move(parent);
  }
  return std::nullopt;
}

std::string Layers::stamp(const std::string& key) const {
  std::string all;
  for (std::string at = key; !at.empty();) {
    struct stat st {};
    if (::stat(disk(at).c_str(), &st) != 0) throw system_error("cannot read " + disk(at).string(), errno);
    all += fmt::format("{} {} {} {}.{:09}\n", at, st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    const std::optional<Record> record = read_record(folder_ / at / "layer.json");
    at = record ? record->parent : "";
  }
  return all;
}

std::shared_ptr<const BlockReader> Layers::open(const std::string& key) const {
  const std::optional<Record> record = read_record(folder_ / key / "layer.json");
  if (!record) throw Error("layer " + key + " is gone", "run the pipeline again");
  return format_.open(disk(key), record->parent.empty() ? nullptr : open(record->parent));
}

Workspace::Workspace(const Layers& layers) : layers_(layers) {
  std::error_code error;
  fs::create_directories(layers.folder(), error);
  if (error)
    throw system_error("cannot create " + layers.folder().string(), error.value(),
                       "set KILN_HOME to a folder that you may write to");
  const FileLock names = take_names(layers);
  remove_dead(layers);
  // The number is for people. Two containers on one volume may both be process 1, so it alone would not do.
  std::string name = (layers.folder() / (std::string(work_prefix) + std::to_string(::getpid()) + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot create " + name, errno);
  folder_ = name;
  lock_ = FileLock::try_exclusive(folder_ / "lock");
  if (!lock_) throw Error("another process has locked " + folder_.string(), "run again");
}

Workspace::~Workspace() {
  for (unsigned i = 0; i < count_; ++i) remove_tree(folder_.string() + '-' + std::to_string(i));
  remove_tree(folder_);
}

fs::path Workspace::make_folder(const std::string& name) {
  const fs::path folder = folder_ / name;
  fs::create_directory(folder);
  fs::permissions(folder, fs::perms::owner_all);
  return folder;
}

LayerDraft::LayerDraft(Workspace& workspace, const std::string& key) : workspace_(workspace) {
  const Layers& layers = workspace.layers();
  const FileLock names = take_names(layers);
  // What this run has decided since, it has decided without that layer.
  if (!key.empty() && layers.find(key))
    throw Error("another kiln has built the same layer meanwhile", "run again: it goes on from there",
                {"layer " + key});
  for (const auto& entry : fs::directory_iterator(layers.folder())) {
    std::error_code error;
    const fs::path mark = entry.path() / "building";
    if (key.empty() || !is_work(entry.path()) || !fs::exists(mark, error) || !alive(entry.path())) continue;
    if (read_text(mark) == key)
      throw Error("another kiln (process " + pid_of(entry.path()) + ") is building the same layer",
                  "wait until it is done and run again: the layer will be there", {"layer " + key});
  }
  folder_ = workspace.folder_.string() + '-' + std::to_string(workspace.count_++);
  fs::create_directory(folder_);
  if (!key.empty()) write_text(folder_ / "building", key);
}

LayerDraft::~LayerDraft() {
  if (!folder_.empty()) remove_tree(folder_);
}

void LayerDraft::seal(Record record) {
  const Layers& layers = workspace_.layers();
  if (!record.parent.empty()) {
    const auto parent = read_record(layers.folder() / record.parent / "layer.json");
    record.parent_content = parent ? parent->content : std::nullopt;
  }
  make_read_only(disk());
  make_read_only(manifest());
  write_record(folder_ / "layer.json", record, true);
  const FileLock names = take_names(layers);
  std::error_code error;
  fs::remove(folder_ / "building", error);
  sync_directory(folder_);
  fs::rename(folder_, layers.folder() / record.key, error);
  if (error && !layers.find(record.key)) {
    // A damaged layer of that name is in the way, or one that lies on another parent.
    remove_tree(layers.folder() / record.key);
    fs::rename(folder_, layers.folder() / record.key, error);
    if (error) throw system_error("cannot seal a layer in " + layers.folder().string(), error.value());
  }
  sync_directory(layers.folder());
}

}  // namespace kiln::engine

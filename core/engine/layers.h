#pragma once
// Layers: what a stage made of the disk, as a sealed file under the stage's key.
//
//     layers/<key>/disk.qcow2   the disk, or what differs from the layer below (its backing file: ../<key>/disk.qcow2)
//     layers/<key>/manifest     its chunk digests
//     layers/<key>/layer.json   the stage's Record; names the layer below
//     layers/.work-<pid>-<r>/   a run's own: its lock, scratch folders, sockets; r: six random letters
//     layers/.work-<pid>-<r>-*/ layers that it works on
//
// A layer is complete or has no name: it is made in a work folder, synced, made read-only and then renamed. What a run
// that was killed left behind is removed at the start of the next one; the lock tells who is alive.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <kiln/format.h>

#include "engine/record.h"
#include "process/file_lock.h"

namespace kiln::engine {

/// Removes a tree as far as it lies on one mount: what a program that was killed has mounted into it is the host's, and
/// stays, untouched.
void remove_tree(const std::filesystem::path& top) noexcept;

/// The sealed ones. Cheap to make; nothing is cached.
class Layers {
 public:
  /// `format` is the one that layers are written in.
  Layers(std::filesystem::path folder, const Format& format) : folder_(std::move(folder)), format_(format) {}

  /// The layer's record when it, and everything below it, is there, and is what it was made on.
  std::optional<Record> find(const std::string& key) const;
  std::filesystem::path disk(const std::string& key) const { return folder_ / key / "disk.qcow2"; }
  std::filesystem::path manifest(const std::string& key) const { return folder_ / key / "manifest"; }
  /// Size and time of the last write of every file that the layer's disk is made of: another one tells of a write.
  std::string stamp(const std::string& key) const;
  /// With everything below it.
  std::shared_ptr<const BlockReader> open(const std::string& key) const;

  const std::filesystem::path& folder() const noexcept { return folder_; }
  const Format& format() const noexcept { return format_; }

 private:
  std::filesystem::path folder_;
  const Format& format_;
};

/// A run's own folders. Removed by the destructor, with every layer that was not sealed.
class Workspace {
 public:
  /// Creates the layers folder when missing and removes what dead runs left.
  explicit Workspace(const Layers&);
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace();

  /// A fresh private folder of the run.
  std::filesystem::path make_folder(const std::string& name);
  const std::filesystem::path& folder() const noexcept { return folder_; }
  const Layers& layers() const noexcept { return layers_; }

 private:
  friend class LayerDraft;
  const Layers& layers_;
  std::filesystem::path folder_;  // layers/.work-<pid>-<r>
  std::optional<FileLock> lock_;
  unsigned count_ = 0;
};

/// A layer at work.
class LayerDraft {
 public:
  /// `key`: of the layer to be, when known; another live run that builds the same one is refused, naming its process.
  LayerDraft(Workspace&, const std::string& key);
  LayerDraft(const LayerDraft&) = delete;
  LayerDraft& operator=(const LayerDraft&) = delete;
  ~LayerDraft();  ///< removes it unless sealed

  std::filesystem::path disk() const { return folder_ / "disk.qcow2"; }
  std::filesystem::path manifest() const { return folder_ / "manifest"; }
  /// The name by which a layer on top of `key` has it as its backing file.
  static std::filesystem::path below(const std::string& key) {
    return std::filesystem::path("..") / key / "disk.qcow2";
  }
  /// Syncs, makes read-only and gives the layer its name, `record.key`. When that exists already, ours is dropped.
  void seal(Record record);

 private:
  Workspace& workspace_;
  std::filesystem::path folder_;
};

}  // namespace kiln::engine

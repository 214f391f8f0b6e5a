#pragma once
// What the engine lends a stage while it runs. The engine implements it; tests use the fake in <kiln/testing.h>.

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/block.h>
#include <kiln/catalog.h>
#include <kiln/finding.h>
#include <kiln/format.h>
#include <kiln/guest.h>
#include <kiln/machine.h>

namespace kiln {

/// A host program to run: no shell, the arguments as they are.
struct Command {
  std::string program;
  std::vector<std::string> args;
  std::string input = {};                     ///< its standard input
  std::vector<std::string> environment = {};  ///< "NAME=value", added to a minimal environment
  /// Not empty: it sees bytes that nobody vouches for, so it runs in the sandbox. There are these files, for reading,
  /// as "/in/0", "/in/1" … (write that as arguments), its own empty /tmp, and no other of the host's. Seven at most.
  std::vector<std::filesystem::path> confined_to = {};
};

/// A disk as a file that QEMU opens, with its format: always passed on, never probed.
struct DiskFile {
  std::filesystem::path file;
  std::string format;
};

/// How far a stage is. Bytes get a rate and a remaining time.
struct Progress {
  enum class Unit { bytes, operations, fraction } unit = Unit::operations;
  double done = 0, total = 0;  ///< total 0: unknown
  std::string what = {};       ///< what it is at, a few words
};

/// What a pass over the disk found.
struct PassResult {
  Digest content;                ///< the disk's identity
  std::uint64_t data_bytes = 0;  ///< bytes in chunks that are not zero
};

/// [the stage's thread] unless said otherwise. Every function may throw cancelled() once stop was asked for.
class Context {
 public:
  // --- for every stage
  virtual const std::filesystem::path& scratch() = 0;  ///< private folder, removed after the stage
  /// A folder of the kiln home for what is costly to get again. It stays when the run ends; `kiln cache clear` removes
  /// it.
  virtual std::filesystem::path cache() = 0;
  virtual std::string exec(const Command&) = 0;  ///< stdout; Error with stderr's last lines
  virtual void log(std::string_view line) = 0;   ///< [any thread] into the stage's log file
  virtual void warn(std::string_view text) = 0;  ///< shown to the user
  virtual void found(const Finding&) = 0;        ///< of a check; shown, and kept with what the run says
  virtual void progress(const Progress&) = 0;    ///< [any thread]
  virtual void summary(std::string text) = 0;    ///< the line shown when the stage is done: what it did
  virtual std::stop_token stop() const = 0;
  virtual const Formats& formats() const = 0;
  virtual Catalog& catalog() = 0;
  virtual Machines& machines() = 0;
  /// What is known of the disk. Travels along the pipeline, is kept with the layers, and ends in the image's record.
  virtual Facts& facts() = 0;
  /// What the machine has beside this disk, stored with catalog().store() by the stage that takes it. The image that
  /// this run publishes has them. Layers do not keep them: they last as long as the run does.
  virtual std::vector<NewPart>& parts() = 0;
  /// Reads the disk, stores it, and adds it to parts(). What the catalog has is neither read nor stored again.
  virtual void add_part(const std::string& role, const std::string& name, const BlockReader&) = 0;
  /// Offers a whole disk to the sink, on every core, and shows how far it is. finish() is the caller's. `what`: as in
  /// Progress.
  virtual void copy(const BlockReader&, BlockSink&, const std::string& what) = 0;

  // --- sources
  /// "This is the disk." Nothing is copied: it is read when somebody wants it.
  virtual void produce(std::shared_ptr<const BlockReader>) = 0;
  /// A fresh, empty qcow2 of `size` bytes to build a disk in. guest() and disk() then work on it, and it is the
  /// source's result.
  virtual void produce_empty(std::uint64_t size) = 0;

  // --- changes, and sources after produce_empty()
  /// The appliance on this stage's disk. Shared with the neighbouring stages.
  virtual Guest& guest() = 0;
  /// Changes the virtual size. Ends the appliance when one runs, so call it before guest().
  virtual void resize(std::uint64_t size) = 0;
  virtual std::uint64_t disk_size() const = 0;

  // --- sinks
  /// The disk as a file, sealed: to read or to lay an overlay on. Only for stages with Access::file.
  virtual DiskFile disk() = 0;
  /// Joins the pass over the disk that neighbouring sinks share. `done` is called after finish(), on the stage's
  /// thread, in the order of the stages; it may still add facts and the summary.
  virtual void consume(std::unique_ptr<BlockSink>, std::function<void(const PassResult&)> done) = 0;

 protected:
  ~Context() = default;
};

}  // namespace kiln

#pragma once
// The disk that stages edit: the overlay at work, and the appliance that has it open.

#include <memory>
#include <string>

#include "engine/layers.h"
#include "engine/run_state.h"

namespace kiln::engine {

/// Where the appliance's lines and progress go: to the stage that runs.
struct Receivers {
  std::function<void(std::string_view)> log;
  std::function<void(const Progress&)> progress;
};

/// One thread. Between the stages of a run of changes the appliance stays, the overlay is another one.
class Workbench {
 public:
  explicit Workbench(RunState& run) : run_(run) {}

  /// An empty disk, for a source that builds one.
  void start_empty(std::uint64_t size);
  /// An overlay on the sealed layer `below`, to become layer `key`.
  void start_overlay(const std::string& below, const std::string& key);
  bool busy() const noexcept { return draft_ != nullptr; }
  /// From here on the appliance talks to these.
  void listen(Receivers);

  Guest& guest();
  void resize(std::uint64_t size);
  std::uint64_t size() const noexcept { return size_; }
  std::filesystem::path disk() const { return draft_->disk(); }

  /// The stage is done, nobody edits next: ends the appliance and returns the disk's content. seal() must follow.
  Digest finish();
  /// The stage is done, and another change follows: the appliance goes on with a new overlay on the layer `key`.
  /// Returns the content of the one that is complete now. seal() must follow.
  Digest finish_and_go_on(const std::string& key, const std::string& next_key);
  /// Names the finished layer. Fills in the record's size, parent and content.
  void seal(Record);
  /// Lets go of everything without sealing.
  void drop() noexcept;

 private:
  Digest digest(const LayerDraft&, const std::string& below);

  RunState& run_;
  std::unique_ptr<LayerDraft> draft_, done_;
  std::string below_, done_below_;
  std::uint64_t size_ = 0, done_size_ = 0;
  Digest done_content_;
  std::unique_ptr<Appliance> appliance_;
  Receivers receivers_;
  bool edited_ = false;  // guest() was called for this overlay
};

}  // namespace kiln::engine

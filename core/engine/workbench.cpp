#include "engine/workbench.h"

#include "disk/manifest.h"
#include "disk/overlay.h"
#include "disk/pump.h"

namespace kiln::engine {

void Workbench::start_empty(std::uint64_t size) {
  if (draft_) throw Error("the disk was made already", "a source calls produce() or produce_empty() once");
  draft_ = std::make_unique<LayerDraft>(run_.workspace, "");
  create_empty(draft_->disk(), size);
  below_.clear();
  size_ = size;
  edited_ = false;
}

void Workbench::start_overlay(const std::string& below, const std::string& key) {
  draft_ = std::make_unique<LayerDraft>(run_.workspace, key);
  size_ = run_.layers.open(below)->size();
  create_overlay(draft_->disk(), size_, LayerDraft::below(below), run_.layers.format().about().name);
  below_ = below;
  edited_ = false;
}

void Workbench::listen(Receivers receivers) {
  receivers_ = std::move(receivers);
  if (appliance_) appliance_->listen(receivers_.log, receivers_.progress);
}

Guest& Workbench::guest() {
  if (!draft_) throw Error("there is no disk to edit", "only a change, or a source after produce_empty(), may edit");
  if (!appliance_) {
    if (!run_.services.start_appliance) throw Error("no appliance is available", "run kiln doctor");
    static constexpr const char* folder = "appliance";
    std::error_code error;
    std::filesystem::remove_all(run_.workspace.folder() / folder, error);
    appliance_ = run_.services.start_appliance(
        {.disk = draft_->disk(), .run_dir = run_.workspace.make_folder(folder), .stop = run_.stop});
    appliance_->listen(receivers_.log, receivers_.progress);
  }
  edited_ = true;
  return appliance_->guest();
}

void Workbench::resize(std::uint64_t size) {
  if (!draft_ || below_.empty()) throw Error("there is no disk to resize", "only a change may resize the disk");
  if (edited_) throw Error("resize() after guest()", "this is a bug in the plugin: it must resize first");
  if (appliance_) {  // it cannot see a new size
    appliance_->close();
    appliance_.reset();
  }
  std::filesystem::remove(draft_->disk());
  create_overlay(draft_->disk(), size, LayerDraft::below(below_), run_.layers.format().about().name);
  size_ = size;
}

Digest Workbench::digest(const LayerDraft& draft, const std::string& below) {
  const Format& format = run_.layers.format();
  const auto reader = format.open(draft.disk(), below.empty() ? nullptr : run_.layers.open(below));
  std::optional<Manifest> known;
  if (!below.empty()) known = Manifest::open(run_.layers.manifest(below));
  ManifestSink sink(draft.manifest(), reader->size());
  BlockSink* const sinks[] = {&sink};
  pump(*reader, sinks, {.stop = run_.stop, .workers = run_.services.threads, .known = known ? &*known : nullptr});
  sink.finish();
  return sink.content();
}

Digest Workbench::finish() {
  if (appliance_) {
    appliance_->close();
    appliance_.reset();
  }
  done_ = std::move(draft_);
  done_below_ = below_;
  done_size_ = size_;
  return done_content_ = digest(*done_, done_below_);
}

Digest Workbench::finish_and_go_on(const std::string& key, const std::string& next_key) {
  done_ = std::move(draft_);
  done_below_ = below_;
  done_size_ = size_;
  draft_ = std::make_unique<LayerDraft>(run_.workspace, next_key);
  create_overlay(draft_->disk(), size_, LayerDraft::below(key), run_.layers.format().about().name);
  below_ = key;
  edited_ = false;
  if (appliance_) appliance_->move_to(draft_->disk());
  return done_content_ = digest(*done_, done_below_);
}

void Workbench::seal(Record record) {
  record.size = done_size_;
  record.parent = done_below_;
  record.content = done_content_;
  done_->seal(record);
  done_.reset();
}

void Workbench::drop() noexcept {
  appliance_.reset();
  draft_.reset();
  done_.reset();
}

}  // namespace kiln::engine

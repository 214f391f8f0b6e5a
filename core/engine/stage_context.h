#pragma once
// The Context of one stage of a run, and what the stage left in it.

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/run_state.h"
#include "engine/workbench.h"

namespace kiln::engine {

/// The catalog as it is lent to a stage: the run knows which images were opened, whatever the stage says of it.
class LentCatalog final : public Catalog {
 public:
  explicit LentCatalog(Catalog& catalog) : catalog_(catalog) {}
  std::unique_ptr<ImageSink> publish(const ImageDraft& draft) override { return catalog_.publish(draft); }
  std::unique_ptr<PartSink> store(std::uint64_t virtual_size) override { return catalog_.store(virtual_size); }
  std::optional<Image> find(std::string_view reference) const override { return catalog_.find(reference); }
  std::shared_ptr<const BlockReader> open(const Image& image) const override {
    auto reader = catalog_.open(image);
    opened_.push_back(image.id);
    return reader;
  }
  std::shared_ptr<const BlockReader> open(const Image& image, const ImagePart& part) const override {
    auto reader = catalog_.open(image, part);
    opened_.push_back(image.id);
    return reader;
  }
  std::vector<std::string> warnings(const Image& image) const override { return catalog_.warnings(image); }

  const std::vector<std::string>& opened() const noexcept { return opened_; }  ///< ids, in order

 private:
  Catalog& catalog_;
  mutable std::vector<std::string> opened_;
};

class StageContext final : public Context {
 public:
  struct Consumer {
    std::unique_ptr<BlockSink> sink;
    std::function<void(const PassResult&)> done;
  };

  StageContext(RunState&, const Step&, Workbench&);
  ~StageContext();  ///< removes the scratch folder

  const std::filesystem::path& scratch() override;
  std::filesystem::path cache() override;
  std::string exec(const Command&) override;
  void log(std::string_view line) override;
  void warn(std::string_view text) override;
  void found(const Finding&) override;
  void progress(const Progress&) override;
  void summary(std::string text) override { summary_ = std::move(text); }
  std::stop_token stop() const override { return run_.stop; }
  const Formats& formats() const override { return run_.services.registry; }
  Catalog& catalog() override { return catalog_; }
  Machines& machines() override { return run_.services.machines; }
  Facts& facts() override { return run_.facts; }
  std::vector<NewPart>& parts() override { return run_.parts; }
  void add_part(const std::string& role, const std::string& name, const BlockReader&) override;
  void copy(const BlockReader&, BlockSink&, const std::string& what) override;
  void produce(std::shared_ptr<const BlockReader>) override;
  void produce_empty(std::uint64_t size) override;
  Guest& guest() override;
  void resize(std::uint64_t size) override;
  std::uint64_t disk_size() const override;
  DiskFile disk() override;
  void consume(std::unique_ptr<BlockSink>, std::function<void(const PassResult&)> done) override;

  // --- for the runner
  const Step& step() const noexcept { return step_; }
  const std::string& made_summary() const noexcept { return summary_; }
  Duration elapsed() const { return since(started_); }
  const std::vector<std::string>& opened_images() const noexcept { return catalog_.opened(); }
  /// Of sinks: the disk they look at.
  void look_at(DiskFile file, std::uint64_t size);
  std::shared_ptr<const BlockReader> produced;
  std::vector<Consumer> consumers;

 private:
  void only(bool allowed, const char* what) const;

  RunState& run_;
  const Step& step_;
  Workbench& bench_;
  LentCatalog catalog_;
  Steady::time_point started_ = Steady::now();
  StageLog log_;
  std::filesystem::path scratch_;
  std::string summary_;
  DiskFile file_;
  std::uint64_t size_ = 0;
  std::mutex progress_mutex_;
  Steady::time_point last_progress_{};
  std::string last_what_;
};

}  // namespace kiln::engine

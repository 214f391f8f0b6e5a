#pragma once
// What a source says of itself and of the disk that it would give, without a run: nothing is published, and of the disk
// only what the source itself looks at is read.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kiln/context.h>

#include "cli/services.h"
#include "engine/layers.h"
#include "engine/pipeline.h"

namespace kiln::cli {

class SourceView final : public Context {
 public:
  /// A disk beside the system's.
  struct Part {
    std::string name;
    std::uint64_t virtual_size = 0;
  };

  SourceView(Services&, std::stop_token, std::function<void(const Progress&)> progress);
  /// Removes what the source has unpacked: its disk can be read as long as this lives.
  ~SourceView();

  /// Once. Throws what the stage throws.
  void look(const engine::Step&);

  Facts known;
  std::vector<Finding> findings;
  std::vector<std::string> warnings;
  std::vector<Part> further;
  std::shared_ptr<const BlockReader> disk_read;  ///< the system disk, after look()

  const std::filesystem::path& scratch() override;
  std::filesystem::path cache() override;
  std::string exec(const Command&) override;
  void log(std::string_view) override {}
  void warn(std::string_view text) override { warnings.emplace_back(text); }
  void found(const Finding& finding) override { findings.push_back(finding); }
  void progress(const Progress&) override;
  void summary(std::string) override {}
  std::stop_token stop() const override { return stop_; }
  const Formats& formats() const override { return services_.registry(); }
  Catalog& catalog() override;
  Machines& machines() override;
  Facts& facts() override { return known; }
  std::vector<NewPart>& parts() override { return parts_; }
  void add_part(const std::string& role, const std::string& name, const BlockReader&) override;
  void copy(const BlockReader&, BlockSink&, const std::string& what) override;
  void produce(std::shared_ptr<const BlockReader> reader) override { disk_read = std::move(reader); }
  void produce_empty(std::uint64_t) override;
  Guest& guest() override;
  void resize(std::uint64_t) override;
  std::uint64_t disk_size() const override { return disk_read ? disk_read->size() : 0; }
  DiskFile disk() override;
  void consume(std::unique_ptr<BlockSink>, std::function<void(const PassResult&)>) override;

 private:
  Services& services_;
  std::stop_token stop_;
  std::function<void(const Progress&)> progress_;
  std::optional<engine::Layers> layers_;
  std::optional<engine::Workspace> workspace_;
  std::filesystem::path scratch_;
  std::vector<NewPart> parts_;
};

}  // namespace kiln::cli

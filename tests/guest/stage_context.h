#pragma once
// What a stage that edits a guest needs of the engine, without the engine: one disk, one session.

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kiln/context.h>
#include <kiln/stage.h>

#include "guest/session.h"

namespace kiln::test {

class StageContext final : public Context {
 public:
  /// `layer` is written; `folder` is for sockets and scratch space.
  StageContext(std::filesystem::path layer, std::filesystem::path folder);

  /// The values as a pipeline has them, given their types by the stage's own declaration, then run.
  void run(const Stage&, const Table& given);
  /// Ends the appliance; the layer is complete.
  void close();

  std::vector<std::string> logged, warned;
  std::vector<Finding> findings;
  std::vector<Progress> progressed;
  std::string summed_up;

  const std::filesystem::path& scratch() override { return folder_; }
  std::filesystem::path cache() override { return folder_; }
  std::string exec(const Command&) override;
  void log(std::string_view line) override { logged.emplace_back(line); }
  void warn(std::string_view text) override { warned.emplace_back(text); }
  void found(const Finding& finding) override { findings.push_back(finding); }
  void progress(const Progress& p) override { progressed.push_back(p); }
  void summary(std::string text) override { summed_up = std::move(text); }
  std::stop_token stop() const override { return {}; }
  const Formats& formats() const override { throw Error("no formats in this test"); }
  Catalog& catalog() override { throw Error("no catalog in this test"); }
  Machines& machines() override { throw Error("no machines in this test"); }
  Facts& facts() override { return facts_; }
  std::vector<NewPart>& parts() override { return parts_; }
  void add_part(const std::string&, const std::string&, const BlockReader&) override { throw Error("not a source"); }
  void copy(const BlockReader&, BlockSink&, const std::string&) override { throw Error("not a source"); }
  void produce(std::shared_ptr<const BlockReader>) override { throw Error("not a source"); }
  void produce_empty(std::uint64_t) override { throw Error("not a source"); }
  Guest& guest() override;
  void resize(std::uint64_t size) override;
  std::uint64_t disk_size() const override;
  DiskFile disk() override { throw Error("not a sink"); }
  void consume(std::unique_ptr<BlockSink>, std::function<void(const PassResult&)>) override {
    throw Error("not a sink");
  }

 private:
  std::filesystem::path layer_, folder_;
  Facts facts_;
  std::vector<NewPart> parts_;
  std::unique_ptr<Session> session_;
};

}  // namespace kiln::test

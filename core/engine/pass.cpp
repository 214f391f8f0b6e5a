#include "engine/pass.h"

#include "disk/pump.h"

namespace kiln::engine {
namespace {

/// Reading, with errors in the name of the stage that made the disk.
class NamedReader final : public BlockReader {
 public:
  NamedReader(RunState& run, const Step& step, const BlockReader& reader) : run_(run), step_(step), reader_(reader) {}
  std::uint64_t size() const override { return reader_.size(); }
  Extent extent_at(std::uint64_t offset) const override {
    return run_.as(step_, [&] { return reader_.extent_at(offset); });
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    run_.as(step_, [&] { reader_.read(offset, into); });
  }
  std::optional<Digest> known_digest(std::uint64_t chunk) const override {
    return run_.as(step_, [&] { return reader_.known_digest(chunk); });
  }

 private:
  RunState& run_;
  const Step& step_;
  const BlockReader& reader_;
};

/// A stage's sink, with errors in its name.
class NamedSink final : public BlockSink {
 public:
  NamedSink(RunState& run, const Step& step, BlockSink& sink) : run_(run), step_(step), sink_(sink) {}
  bool knows(const Digest& digest) const override {
    return run_.as(step_, [&] { return sink_.knows(digest); });
  }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return run_.as(step_, [&] { return sink_.encode(std::move(batch)); });
  }
  void append(Encoded& encoded) override {
    run_.as(step_, [&] { sink_.append(encoded); });
  }
  void store(Encoded& encoded) override {
    run_.as(step_, [&] { sink_.store(encoded); });
  }
  void finish() override {}  // the runner finishes the stages' sinks, one stage after the other
  void failed(const std::string& why) noexcept override { sink_.failed(why); }

 private:
  RunState& run_;
  const Step& step_;
  BlockSink& sink_;
};

}  // namespace

PassResult run_pass(RunState& run, const PassRequest& request) {
  std::vector<std::unique_ptr<BlockSink>> base, named;
  std::vector<BlockSink*> sinks;
  if (request.base != nullptr) {
    const std::uint64_t size = request.reader.size();
    base.push_back(run.layers.format().create_with(request.base->disk(), size, Table{}));
    base.push_back(std::make_unique<ManifestSink>(request.base->manifest(), size));
    for (const auto& sink : base) named.push_back(std::make_unique<NamedSink>(run, request.reads, *sink));
    for (const auto& sink : named) sinks.push_back(sink.get());
  }
  StageContext* shown = nullptr;
  if (request.stages != nullptr)
    for (const auto& stage : *request.stages)
      for (const StageContext::Consumer& consumer : stage->consumers) {
        if (shown == nullptr) shown = stage.get();
        named.push_back(std::make_unique<NamedSink>(run, stage->step(), *consumer.sink));
        sinks.push_back(named.back().get());
      }

  const NamedReader reader(run, request.reads, request.reader);
  const auto show = [&](std::uint64_t done, std::uint64_t total) {
    const Progress progress{Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(total), ""};
    if (shown != nullptr) {
      shown->progress(progress);
    } else {
      run.emit({.kind = Event::Kind::stage_progress,
                .stage = request.reads.number,
                .name = request.reads.use,
                .progress = progress});
    }
  };
  const PassResult result = pump(reader, sinks,
                                 {.stop = run.stop,
                                  .progress = show,
                                  .workers = run.services.threads,
                                  .known = request.known,
                                  .known_is_whole = request.known != nullptr});
  for (const auto& sink : base) run.as(request.reads, [&] { sink->finish(); });
  return result;
}

}  // namespace kiln::engine

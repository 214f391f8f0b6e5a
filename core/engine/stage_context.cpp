#include "engine/stage_context.h"

#include <array>

#include "disk/pump.h"
#include "process/process.h"
#include "process/sandbox.h"

namespace kiln::engine {

StageContext::StageContext(RunState& run, const Step& step, Workbench& bench)
    : run_(run), step_(step), bench_(bench), catalog_(run.services.catalog), log_(run.log_file(step)) {}

StageContext::~StageContext() {
  if (!scratch_.empty()) remove_tree(scratch_);
}

const std::filesystem::path& StageContext::scratch() {
  if (scratch_.empty()) scratch_ = run_.workspace.make_folder("scratch-" + std::to_string(step_.number));
  return scratch_;
}

std::filesystem::path StageContext::cache() {
  std::filesystem::create_directories(run_.home.cache());
  return run_.home.cache();
}

std::string StageContext::exec(const Command& command) {
  run_.throw_if_stopped();
  std::string line = "$ " + command.program;
  for (const std::string& arg : command.args) line += ' ' + arg;
  log_.write(line);
  kiln::RunOptions options;
  options.stop = run_.stop;
  options.directory = scratch();
  options.error_log = log_.open();
  return run_confined(command, options, run_.services.sandboxed);
}

void StageContext::log(std::string_view line) {
  log_.write(line);
  run_.emit({.kind = Event::Kind::log, .stage = step_.number, .name = step_.use, .text = std::string(line)});
}

void StageContext::warn(std::string_view text) {
  log_.write("warning: " + std::string(text));
  run_.emit({.kind = Event::Kind::warning, .stage = step_.number, .name = step_.use, .text = std::string(text)});
}

void StageContext::found(const Finding& finding) {
  log_.write(std::string(name_of(finding.severity)) + ": " + finding.code + ": " + finding.what);
  run_.emit({.kind = Event::Kind::finding,
             .stage = step_.number,
             .name = step_.use,
             .text = finding.what,
             .finding = finding});
}

void StageContext::progress(const Progress& progress) {
  run_.throw_if_stopped();
  {
    const std::lock_guard lock(progress_mutex_);
    const auto now = Steady::now();
    const bool last = progress.total > 0 && progress.done >= progress.total;
    const bool same = progress.what == last_what_;
    if (!last && same && now - last_progress_ < std::chrono::milliseconds(50)) return;
    last_progress_ = now;
    last_what_ = progress.what;
  }
  run_.emit({.kind = Event::Kind::stage_progress,
             .stage = step_.number,
             .name = step_.use,
             .progress = progress,
             .elapsed = elapsed()});
}

void StageContext::only(bool allowed, const char* what) const {
  if (!allowed)
    throw Error(std::string("a stage of this kind may not call ") + what,
                "this is a bug in the plugin \"" + step_.use + "\": tell its author");
}

void StageContext::add_part(const std::string& role, const std::string& name, const BlockReader& disk) {
  std::shared_ptr<PartSink> sink = catalog_.store(disk.size());
  copy(disk, *sink, name);
  sink->finish();
  run_.parts.push_back({role, name, std::move(sink)});
}

void StageContext::copy(const BlockReader& disk, BlockSink& sink, const std::string& what) {
  const auto show = [&](std::uint64_t done, std::uint64_t total) {
    progress({Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(total), what});
  };
  const std::array<BlockSink*, 1> sinks{&sink};
  pump(disk, sinks, {.stop = run_.stop, .progress = show, .workers = run_.services.threads});
}

void StageContext::produce(std::shared_ptr<const BlockReader> reader) {
  only(step_.stage->role() == Role::source && !produced && !bench_.busy(), "produce()");
  produced = std::move(reader);
}

void StageContext::produce_empty(std::uint64_t size) {
  only(step_.stage->role() == Role::source && !produced, "produce_empty()");
  bench_.start_empty(size);
}

Guest& StageContext::guest() {
  only(step_.stage->role() != Role::sink, "guest()");
  run_.throw_if_stopped();
  return bench_.guest();
}

void StageContext::resize(std::uint64_t size) {
  only(step_.stage->role() == Role::change, "resize()");
  bench_.resize(size);
}

std::uint64_t StageContext::disk_size() const {
  return step_.stage->role() == Role::sink ? size_ : bench_.size();
}

DiskFile StageContext::disk() {
  if (step_.stage->role() == Role::source && bench_.busy()) return {bench_.disk(), run_.layers.format().about().name};
  only(step_.stage->role() == Role::sink && step_.stage->access() == Access::file, "disk()");
  return file_;
}

void StageContext::consume(std::unique_ptr<BlockSink> sink, std::function<void(const PassResult&)> done) {
  only(step_.stage->role() == Role::sink && step_.stage->access() == Access::content, "consume()");
  consumers.push_back({std::move(sink), std::move(done)});
}

void StageContext::look_at(DiskFile file, std::uint64_t size) {
  file_ = std::move(file);
  size_ = size;
}

}  // namespace kiln::engine

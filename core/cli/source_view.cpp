#include "cli/source_view.h"

#include "process/sandbox.h"

namespace kiln::cli {
namespace {

Error not_lent(const char* what) {
  return Error(std::string("a source that is only looked at has no ") + what, "this is a bug in the plugin");
}

}  // namespace

SourceView::SourceView(Services& services, std::stop_token stop, std::function<void(const Progress&)> progress)
    : services_(services), stop_(std::move(stop)), progress_(std::move(progress)) {}

SourceView::~SourceView() {
  disk_read.reset();  // before the folder that it may lie in
}

void SourceView::look(const engine::Step& step) {
  step.stage->run_with(*this, step.params);
  if (!disk_read) throw Error("the stage \"" + step.use + "\" made no disk", "this is a bug in the plugin");
}

const std::filesystem::path& SourceView::scratch() {
  if (scratch_.empty()) {
    services_.home().create();
    layers_.emplace(services_.home().layers(), services_.registry().get("qcow2"));
    workspace_.emplace(*layers_);
    scratch_ = workspace_->make_folder("scratch");
  }
  return scratch_;
}

std::filesystem::path SourceView::cache() {
  services_.home().create();
  const std::filesystem::path folder = services_.home().root() / "cache";
  std::filesystem::create_directories(folder);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  return folder;
}

std::string SourceView::exec(const Command& command) {
  kiln::RunOptions options;
  options.stop = stop_;
  options.directory = scratch();
  return run_confined(command, options, services_.sandboxed());
}

void SourceView::progress(const Progress& progress) {
  if (stop_.stop_requested()) throw cancelled();
  if (progress_) progress_(progress);
}

Catalog& SourceView::catalog() {
  throw not_lent("catalog");
}

Machines& SourceView::machines() {
  throw not_lent("machines");
}

void SourceView::add_part(const std::string&, const std::string& name, const BlockReader& reader) {
  further.push_back({name, reader.size()});
}

void SourceView::copy(const BlockReader&, BlockSink&, const std::string&) {
  throw not_lent("copy of a disk");
}

void SourceView::produce_empty(std::uint64_t) {
  throw not_lent("disk to build in");
}

Guest& SourceView::guest() {
  throw not_lent("guest");
}

void SourceView::resize(std::uint64_t) {
  throw not_lent("disk to resize");
}

DiskFile SourceView::disk() {
  throw not_lent("file of the disk");
}

void SourceView::consume(std::unique_ptr<BlockSink>, std::function<void(const PassResult&)>) {
  throw not_lent("pass over the disk");
}

}  // namespace kiln::cli

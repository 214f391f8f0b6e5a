#include "guest/stage_context.h"

#include <kiln/endian.h>
#include <kiln/file.h>

#include <array>

#include "process/process.h"
#include "support/plugins.h"
#include "support/run.h"

namespace kiln::test {
StageContext::StageContext(std::filesystem::path layer, std::filesystem::path folder)
    : layer_(std::move(layer)), folder_(std::move(folder)) {}

void StageContext::run(const Stage& stage, const Table& given) {
  std::vector<std::string> wrong;
  const Table table = typed_for(stage, given, wrong);
  if (!wrong.empty()) throw Error("test: " + wrong.front());
  stage.run_with(*this, table);
}

void StageContext::close() {
  if (session_) session_->close();
  session_.reset();
}

std::string StageContext::exec(const Command& command) {
  return run_checked(command);
}

Guest& StageContext::guest() {
  if (!session_)
    session_ = std::make_unique<Session>(SessionOptions{.overlay = layer_,
                                                        .run_dir = folder_,
                                                        .log = [this](std::string_view line) { log(line); },
                                                        .progress = [this](const Progress& p) { progress(p); }});
  return *session_;
}

void StageContext::resize(std::uint64_t size) {
  close();
  qemu_img({"resize", "-q", "-f", "qcow2", layer_.string(), std::to_string(size)});
}

// The virtual size stands in bytes 24..31 of a qcow2 header.
std::uint64_t StageContext::disk_size() const {
  std::array<std::byte, 32> header{};
  File::open_read(layer_).read_at(0, header);
  return get_be<std::uint64_t>(header, 24);
}

}  // namespace kiln::test

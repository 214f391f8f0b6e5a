#include "guest/stage_context.h"

#include <kiln/endian.h>
#include <kiln/file.h>

#include <array>

#include "process/process.h"
#include "support/run.h"

namespace kiln::test {
namespace {

class Problemlist final : public Check {
 public:
  std::vector<std::string> all;
  void problem(std::string param, std::string what, std::string) override { all.push_back(param + ": " + what); }
  const Formats& formats() const override { throw Error("no formats in this test"); }
  void validate(const std::string&, const Table&, const std::vector<Param>&) override {}
};

Table values(const Stage& stage, const Table& given, std::vector<std::string>& wrong) {
  Problems problems;
  Table table = typed(given, stage.about().params, problems);
  for (const Problem& p : problems) wrong.push_back(p.param + ": " + p.what);
  return table;
}

}  // namespace

StageContext::StageContext(std::filesystem::path layer, std::filesystem::path folder)
    : layer_(std::move(layer)), folder_(std::move(folder)) {}

void StageContext::run(const Stage& stage, const Table& given) {
  std::vector<std::string> wrong;
  const Table table = values(stage, given, wrong);
  if (!wrong.empty()) throw Error("test: " + wrong.front());
  stage.run_with(*this, table);
}

std::vector<std::string> StageContext::problems(const Stage& stage, const Table& given) {
  Problemlist list;
  const Table table = values(stage, given, list.all);
  if (list.all.empty()) stage.check_with(table, list);
  return list.all;
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

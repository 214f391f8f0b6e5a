#pragma once
// A kiln home, the built plugins, an appliance of qemu-io, and pipelines from text.

#include <gtest/gtest.h>

#include <kiln/testing.h>

#include "engine/plan.h"
#include "engine/runner.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::engine {

/// "Edits" with qemu-io: call({"write", offset, byte}) fills the 64 KiB at an offset. It holds no file open, but it
/// starts once and is moved like the real one, and tells how often.
class QemuIo final : public Appliance {
 public:
  struct Counts {
    int started = 0, moved = 0, closed = 0;
  };
  QemuIo(std::filesystem::path disk, Counts& counts) : disk_(std::move(disk)), counts_(counts), guest_(*this) {
    ++counts_.started;
  }
  Guest& guest() override { return guest_; }
  void listen(std::function<void(std::string_view)>, std::function<void(const Progress&)>) override {}
  void move_to(const std::filesystem::path& disk) override {
    ++counts_.moved;
    disk_ = disk;
  }
  void close() override { ++counts_.closed; }

 private:
  class Writer final : public fakes::FakeGuest {
   public:
    explicit Writer(QemuIo& owner) : owner_(owner) {}
    std::string call(const std::vector<std::string>& words) override {
      const auto outcome = test::run(
          {"qemu-io", "-f", "qcow2", "-c", "write -P " + words[2] + ' ' + words[1] + " 64k", owner_.disk_.string()});
      if (outcome.status != 0) throw Error("qemu-io failed", {}, {outcome.output});
      return {};
    }

   private:
    QemuIo& owner_;
  };

  std::filesystem::path disk_;
  Counts& counts_;
  Writer guest_;
};

class EngineTest : public ::testing::Test {
 protected:
  /// Writes the text as a pipeline file and loads it; the text must be right.
  Pipeline load(const std::string& text, const std::string& name = "p") {
    write_text(dir / (name + ".toml"), text);
    Loaded loaded = load_pipeline(dir / (name + ".toml"), registry);
    EXPECT_TRUE(loaded.ok()) << render(loaded.problems);
    return std::move(loaded.pipeline);
  }
  RunResult run(const Pipeline& pipeline, const RunOptions& options = {}) {
    recorder.events.clear();
    return engine::run(pipeline, services, recorder, options);
  }
  RunResult run(const std::string& text, const RunOptions& options = {}) { return run(load(text), options); }
  /// "1 cached, 2 done": how each stage ended.
  std::string endings() const {
    std::string out;
    for (const Event& e : recorder.events) {
      const char* word = e.kind == Event::Kind::stage_cached   ? " cached"
                         : e.kind == Event::Kind::stage_done   ? " done"
                         : e.kind == Event::Kind::stage_failed ? " failed"
                                                               : nullptr;
      if (word != nullptr) out += (out.empty() ? "" : ", ") + std::to_string(e.stage) + word;
    }
    return out;
  }
  std::string failure(const std::string& text, const RunOptions& options = {}) {
    try {
      run(text, options);
    } catch (const Error& error) {
      last_error = error;
      return error.what();
    }
    return "it did not fail";
  }
  /// Entries of the layers folder: sealed layers, and what should not be there.
  std::vector<std::string> layers(bool work = false) const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(home / "layers")) {
      const std::string name = entry.path().filename();
      if (name != ".lock" && name.starts_with(".work-") == work) out.push_back(name);
    }
    return out;
  }
  std::string summary(std::size_t stage) const {
    for (const Event& e : recorder.events)
      if (e.stage == stage && (e.kind == Event::Kind::stage_done || e.kind == Event::Kind::stage_cached)) return e.text;
    return "";
  }

  const test::TempDir dir;
  const std::filesystem::path home = dir / "home";
  const Registry registry{
      {std::string(KILN_BINARY_DIR) + "/tests/plugins", std::string(KILN_BINARY_DIR) + "/lib/kiln/plugins"}};
  fakes::FakeCatalog catalog;
  fakes::FakeMachines machines;
  QemuIo::Counts appliance;
  Services services{.registry = registry,
                    .catalog = catalog,
                    .machines = machines,
                    .start_appliance = [this](const ApplianceStart& s) -> std::unique_ptr<Appliance> {
                      return std::make_unique<QemuIo>(s.disk, appliance);
                    },
                    .home = home,
                    .layer_format = registry.get("qcow2"),
                    .threads = 2};
  Recorder recorder;
  std::optional<Error> last_error;
};

}  // namespace kiln::engine

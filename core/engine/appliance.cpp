#include "engine/runner.h"
#include "guest/session.h"

namespace kiln::engine {
namespace {

class GuestfsAppliance final : public Appliance {
 public:
  explicit GuestfsAppliance(SessionOptions options) : session_(std::move(options)) {}
  Guest& guest() override { return session_; }
  void listen(std::function<void(std::string_view)> log, std::function<void(const Progress&)> progress) override {
    session_.listen(std::move(log), std::move(progress));
  }
  void move_to(const std::filesystem::path& disk) override { session_.move_to(disk); }
  void close() override { session_.close(); }

 private:
  Session session_;
};

}  // namespace

StartAppliance guestfs_appliance(bool force_tcg, bool sandboxed) {
  return [=](const ApplianceStart& start) -> std::unique_ptr<Appliance> {
    return std::make_unique<GuestfsAppliance>(SessionOptions{.overlay = start.disk,
                                                             .run_dir = start.run_dir,
                                                             .force_tcg = force_tcg,
                                                             .stop = start.stop,
                                                             .sandboxed = sandboxed});
  };
}

}  // namespace kiln::engine

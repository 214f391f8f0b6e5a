// The driver itself: what needs a terminal, and firmware that no image of the tests asks for.
#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "disk/pump.h"
#include "libvirt/hosts.h"
#include "libvirt/libvirt_driver.h"
#include "support/tiny_image.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using test::first_host;
using testing::HasSubstr;

class FileDisk final : public BlockReader {
 public:
  explicit FileDisk(const std::filesystem::path& raw) : file_(File::open_read(raw)) {}
  std::uint64_t size() const override { return file_.size(); }
  Extent extent_at(std::uint64_t offset) const override { return {offset, size() - offset, true}; }
  void read(std::uint64_t offset, std::span<std::byte> into) const override { file_.read_some(offset, into); }

 private:
  File file_;
};

class DomainConsoles : public testing::Test {
 protected:
  ~DomainConsoles() override {
    for (const Instance& one : instances_.list()) instances_.remove(one.name, true);
  }
  void launch(const char* firmware) {
    test::qemu_to_raw(test::tiny_image("stay"), "qcow2", home_ / "disk.raw");
    const auto disk = std::make_shared<FileDisk>(home_ / "disk.raw");
    ManifestSink sink(home_ / "manifest", disk->size());
    BlockSink* const sinks[] = {&sink};
    pump(*disk, sinks);
    sink.finish();
    const Manifest manifest = Manifest::open(home_ / "manifest");
    const BaseOnHost base =
        driver_.prepare(first_host().uri(), {.manifest = manifest,
                                             .open = [&] { return disk; },
                                             .manifest_of = [](auto&) { return std::optional<Manifest>(); }});
    LaunchSpec spec;
    spec.name = "one";
    spec.memory = Bytes{128u << 20};
    spec.cpus = 1;
    spec.firmware = firmware;
    spec.driver = "libvirt";
    spec.connect = first_host().uri();
    instances_.launch({base.disk, "img-1", "tiny:1", "tiny", disk->size()}, spec, {"tcg", ""});
  }
  void wait_for(const std::string& text) {
    for (int i = 0; i < 1200; ++i) {
      if (instances_.serial_text("one", 1 << 20).find(text) != std::string::npos) return;
      std::this_thread::sleep_for(100ms);
    }
    FAIL() << "no \"" << text << "\" on the console";
  }

  test::TempDir home_;
  int seen_ = 0;
  LibvirtDriver driver_{[] { return std::string("a test"); }};
  Instances instances_{home_.path(), {}, &driver_};
};

TEST_F(DomainConsoles, ATerminalSeesTheGuestUntilTheEscapeKey) {
  launch("bios");
  wait_for("tick");
  int screen = -1, keyboard = -1;
  ASSERT_EQ(::openpty(&screen, &keyboard, nullptr, nullptr, nullptr), 0);
  std::jthread attached([&] { instances_.console("one", keyboard, keyboard); });
  std::string shown;
  const auto until = std::chrono::steady_clock::now() + 60s;
  // What the log has is shown first; then come at least two that were written since.
  while (std::chrono::steady_clock::now() < until && shown.size() < 4096) {
    pollfd ready{screen, POLLIN, 0};
    if (::poll(&ready, 1, 3000) != 1) break;
    std::array<char, 4096> part{};
    const ssize_t n = ::read(screen, part.data(), part.size());
    if (n <= 0) break;
    shown.append(part.data(), static_cast<std::size_t>(n));
    const std::size_t last = shown.rfind("tick");
    if (last != std::string::npos && shown.find("KILN-BOOT-OK") != std::string::npos && ++seen_ > 3) break;
  }
  EXPECT_GT(seen_, 3) << shown;
  try {
    (void)driver_.open_console(instances_.get("one"));
    ADD_FAILURE() << "a console is for one at a time";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot open the console: "));
  }
  ASSERT_EQ(::write(screen, "x\x1d", 2), 2);
  attached.join();
  ::close(screen);
  ::close(keyboard);
  EXPECT_NE(driver_.open_console(instances_.get("one")), nullptr) << "it is free again";
}

TEST_F(DomainConsoles, UefiBoots) {
  launch("uefi");
  wait_for("KILN-BOOT-OK");
  EXPECT_THAT(first_host().virsh({"dumpxml", "kiln-one"}), HasSubstr("OVMF"));
  instances_.remove("one", true);
  EXPECT_EQ(first_host().virsh({"list", "--all", "--name"}).find("kiln-one"), std::string::npos);
  EXPECT_THAT(first_host().volumes("instance-"), testing::IsEmpty());
}

}  // namespace
}  // namespace kiln

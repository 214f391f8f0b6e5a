// How instances are, and what they show, of real machines: two of one image, one of them hung.
#include "machine/health.h"

#include <gmock/gmock.h>
#include <png.h>

#include <csignal>
#include <set>
#include <thread>

#include <kiln/file.h>

#include "machine/guest_access.h"
#include "machine/screenshot.h"
#include "qmp/qmp.h"
#include "support/disk_size.h"
#include "support/small_guest.h"
#include "support/temp.h"
#include "support/tiny_image.h"

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testing::HasSubstr;

class Machines : public testing::Test {
 protected:
  void TearDown() override {
    for (const Instance& i : instances_.list()) instances_.remove(i.name, true);
  }
  Instance launch(const std::string& name, const std::filesystem::path& image) {
    LaunchSpec spec;
    spec.name = name;
    spec.memory = Bytes{192u << 20};
    spec.cpus = 1;
    const LaunchBase base{{image, "qcow2"}, "img-1", "web:1", "web", test::disk_size(image)};
    return instances_.get(instances_.launch(base, spec, {"tcg", ""}).front().name);
  }
  Health health(const Instance& instance) const { return health_of({instance}, 10s).at(0); }
  static void wait_for(const Instance& instance, const std::string& text) {
    for (int i = 0; i < 6000; ++i) {
      if (read_text(instance.folder / "serial.log").find(text) != std::string::npos) return;
      std::this_thread::sleep_for(20ms);
    }
    FAIL() << "no \"" << text << "\"";
  }
  test::TempDir home_;
  Instances instances_{home_.path()};
};

TEST_F(Machines, AreOkUnlessTheySayOtherwise) {
  const Instance plain = launch("plain", test::tiny_image("stay"));
  EXPECT_EQ(health(plain).text(), "ok");
  EXPECT_EQ(health(plain).agent, Health::Agent::none);
  Qmp::connect(plain.folder / "qmp.sock", 5s).execute("stop");
  EXPECT_EQ(health(plain).text(), "paused");
  Qmp::connect(plain.folder / "qmp.sock", 5s).execute("cont");

  const Instance hung = launch("hung", test::tiny_image("stay"));
  ASSERT_TRUE(signal_process(hung.process, SIGSTOP));
  const auto begin = Clock::now();
  const auto both = health_of({hung, plain});
  EXPECT_LT(Clock::now() - begin, 1500ms);
  EXPECT_EQ(both[0].text(), "no answer");
  EXPECT_EQ(both[1].text(), "ok");
  signal_process(hung.process, SIGCONT);
}

TEST_F(Machines, AnAgentThatWasThereIsMissed) {
  const Instance guest = launch("guest", test::small_guest());
  wait_for(guest, test::small_guest_ready);
  for (int i = 0; i < 100 && health(guest).agent != Health::Agent::answers; ++i) std::this_thread::sleep_for(100ms);
  EXPECT_EQ(health(guest).agent, Health::Agent::answers);
  EXPECT_EQ(health(guest).text(), "ok");
  {
    const GuestAccess busy = GuestAccess::open(guest);
    EXPECT_EQ(health(guest).agent, Health::Agent::busy);
  }
  GuestAccess::open(guest).run({"sh", {"-c", "(sleep 0.5; killall -STOP qemu-ga) >/dev/null 2>&1 &"}});
  std::this_thread::sleep_for(2s);
  EXPECT_EQ(health(guest).text(), "agent silent");
}

std::set<std::string> colours_of(const std::string& bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()), 0) << image.message;
  image.format = PNG_FORMAT_RGB;
  std::string pixels(PNG_IMAGE_SIZE(image), '\0');
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0) << image.message;
  std::set<std::string> colours;
  for (std::size_t i = 0; i + 3 <= pixels.size(); i += 3) colours.insert(pixels.substr(i, 3));
  return colours;
}

TEST_F(Machines, ShowTheirScreen) {
  const Instance plain = launch("plain", test::tiny_image("stay"));
  wait_for(plain, "KILN-BOOT-OK");
  const Screenshot shot = take_screenshot(plain, home_ / "screen.png");
  EXPECT_GE(shot.width, 640u);
  EXPECT_GE(shot.height, 400u);
  EXPECT_GT(colours_of(read_text(home_ / "screen.png")).size(), 1u) << "the BIOS has written on it";
  EXPECT_FALSE(std::filesystem::exists(plain.folder / "screen.png"));
  EXPECT_EQ(std::filesystem::status(home_ / "screen.png").permissions() & std::filesystem::perms::owner_read,
            std::filesystem::perms::owner_read);
  instances_.stop("plain", 100ms);
  EXPECT_THAT([&] { take_screenshot(instances_.get("plain"), home_ / "x.png"); },
              testing::ThrowsMessage<Error>("\"plain\" is not running"));
}

}  // namespace
}  // namespace kiln

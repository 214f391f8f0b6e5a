#include "cli/doctor.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "support/temp.h"

namespace kiln::cli {
namespace {

using State = Finding::State;
using testing::HasSubstr;

TEST(Doctor, FindsProgramsAndTheirVersions) {
  const Finding found = examine_program("qemu-img");
  EXPECT_EQ(found.state, State::ok);
  EXPECT_THAT(found.text, testing::MatchesRegex("[0-9]+\\.[0-9.]+"));
}

TEST(Doctor, SaysWhoMissesAProgram) {
  const Finding needed = examine_program("no-such-program");
  EXPECT_EQ(needed.state, State::fail);
  const Finding wanted = examine_program("no-such-program", "bootstrap");
  EXPECT_EQ(wanted.state, State::warn);
  EXPECT_EQ(wanted.text, "not found; the plugin \"bootstrap\" needs it");
}

TEST(Doctor, CanDoWithoutSomeThings) {
  EXPECT_EQ(examine_optional("sh", "nothing", "dash").state, State::ok);
  const Finding missing = examine_optional("no-such-program", "nobody greets", "hello");
  EXPECT_EQ(missing.state, State::warn);
  EXPECT_EQ(missing.text, "not found: nobody greets");
  EXPECT_EQ(missing.mend, "sudo apt-get install hello");
  const Finding silent = examine_libvirt("qemu+unix:///system?socket=/nowhere");
  EXPECT_EQ(silent.state, State::warn);
  EXPECT_THAT(silent.text, HasSubstr("no instances on this host's libvirt: "));
  EXPECT_NE(silent.mend, "");
}

TEST(Doctor, WantsASandbox) {
  EXPECT_EQ(examine_sandbox().state, State::ok);
  const test::TempDir empty;
  const std::string before = std::getenv("PATH");
  ::setenv("PATH", empty.path().c_str(), 1);
  const Finding missing = examine_sandbox();
  ::setenv("PATH", before.c_str(), 1);
  EXPECT_EQ(missing.state, State::fail);
  EXPECT_THAT(missing.text, HasSubstr("bubblewrap is not installed"));
  EXPECT_THAT(missing.mend, HasSubstr("sudo apt-get install bubblewrap"));
}

TEST(Doctor, WantsAKernelThatItsUserMayRead) {
  const test::TempDir folder;
  std::filesystem::create_directories(folder / "boot");
  EXPECT_EQ(examine_kernel(folder / "boot", folder / "modules").state, State::fail);
  EXPECT_THAT(examine_kernel(folder / "boot", folder / "modules").mend, HasSubstr("apt-get install linux-image"));

  std::ofstream(folder / "boot/vmlinuz-6.1") << "kernel";
  EXPECT_EQ(examine_kernel(folder / "boot", folder / "modules").state, State::fail) << "it has no modules";
  std::filesystem::create_directories(folder / "modules/6.1");
  EXPECT_EQ(examine_kernel(folder / "boot", folder / "modules").state, State::ok);

  ASSERT_EQ(::chmod((folder / "boot/vmlinuz-6.1").c_str(), 0), 0);
  if (::getuid() == 0) return;  // root may read it all the same
  const Finding unreadable = examine_kernel(folder / "boot", folder / "modules");
  EXPECT_EQ(unreadable.state, State::fail);
  EXPECT_EQ(unreadable.mend, "sudo chmod 0644 " + (folder / "boot/vmlinuz-6.1").string());
}

TEST(Doctor, LooksAtTheSpaceOfAHomeThatIsNotThereYet) {
  const test::TempDir folder;
  const Finding found = examine_space(folder / "not/yet");
  EXPECT_NE(found.state, State::fail) << found.text;
  EXPECT_THAT(found.text, HasSubstr(" free"));
  EXPECT_EQ(examine_space("/proc/home").state, State::fail);
}

}  // namespace
}  // namespace kiln::cli

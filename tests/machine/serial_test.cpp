#include "machine/serial.h"

#include <gmock/gmock.h>

#include <fstream>

#include "support/temp.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SerialWatch fed(const std::string& text, const std::string& expected = "") {
  SerialWatch watch(expected);
  watch.feed(text);
  return watch;
}

TEST(SerialWatch, FindsATextThatComesInPieces) {
  SerialWatch watch("login:");
  for (const char c : std::string("Debian GNU/Linux 12 web ttyS0\r\n\r\nweb logi")) watch.feed({&c, 1});
  EXPECT_FALSE(watch.found());
  watch.feed("n: root");
  EXPECT_TRUE(watch.found());
  EXPECT_EQ(watch.found_line(), "web login:");
}

TEST(SerialWatch, FindsATextThatOverlapsItself) {
  EXPECT_TRUE(fed("aaab", "aab").found());
  EXPECT_TRUE(fed("KILN-KILN-OK", "KILN-OK").found());
}

TEST(SerialWatch, SeesThroughEscapes) {
  EXPECT_TRUE(fed("\x1b[0;32mweb\x1b[0m lo\x1b[?25lgin\x1b]0;title\a:", "web login:").found());
  EXPECT_THAT(fed("\x1b[2J\x1b[1;1Hplain\x1b(Btext\n").tail(), ElementsAre("plainBtext"));
}

TEST(SerialWatch, ALineEndIsPartOfTheText) {
  EXPECT_FALSE(fed("log\nin:", "login:").found());
  const SerialWatch watch = fed("one\r\ntwo\r\n", "two\n");
  EXPECT_TRUE(watch.found());
  EXPECT_EQ(watch.found_line(), "two");
}

TEST(SerialWatch, KeepsTheLastFortyLines) {
  SerialWatch watch("");
  for (int i = 1; i <= 1000; ++i) watch.feed("line " + std::to_string(i) + "\r\n");
  watch.feed("unfinished");
  ASSERT_EQ(watch.tail().size(), 40u);
  EXPECT_EQ(watch.tail().front(), "line 962");
  EXPECT_EQ(watch.tail().back(), "unfinished");
  EXPECT_EQ(watch.lines(), 1000u);
}

TEST(SerialWatch, AnEndlessLineDoesNotGrow) {
  const SerialWatch watch = fed(std::string(1 << 20, 'x'));
  EXPECT_EQ(watch.tail()[0].size(), 400u);
}

TEST(LogTail, GivesWhatWasAdded) {
  test::TempDir dir;
  LogTail tail(dir / "log");
  EXPECT_EQ(tail.next(), "");
  std::ofstream(dir / "log", std::ios::app) << "one";
  EXPECT_EQ(tail.next(), "one");
  EXPECT_EQ(tail.next(), "");
  std::ofstream(dir / "log", std::ios::app) << "two";
  EXPECT_EQ(tail.next(), "two");
}

TEST(LastWords, SayWhyAndNotOfWhat) {
  const test::TempDir folder;
  const std::string node = "{\"driver\":\"qcow2\",\"filename\":\"/" + std::string(500, 'x') + "\"}";
  std::ofstream(folder / "log") << std::string(70'000, '-') << "\nwarning: {braces} are text\nqemu: -blockdev " << node
                                << ": Could not open 'a': No such file\n";
  const std::vector<std::string> words = last_words(folder / "log");
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(words[1], "warning: {braces} are text");
  EXPECT_EQ(words[2], "qemu: -blockdev …: Could not open 'a': No such file");
  EXPECT_THAT(last_words(folder / "none"), testing::IsEmpty());
}

TEST(ExplainBoot, KnowsTheUsualEnds) {
  const BootProblem root =
      explain_boot(fed("[ 2.9] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n"));
  EXPECT_EQ(root.fact, "the kernel found no root file system");
  EXPECT_THAT(root.hint, HasSubstr("virtio_blk"));
  EXPECT_TRUE(root.final);
  EXPECT_EQ(explain_boot(fed("Kernel panic - not syncing: Attempted to kill init!\n")).fact, "the kernel panicked");
  EXPECT_EQ(explain_boot(fed("error: no such partition.\nEntering rescue mode...\ngrub rescue> ")).fact,
            "GRUB did not find its files");
  EXPECT_THAT(explain_boot(fed("Booting from Hard Disk...\nNo bootable device.\n")).hint, HasSubstr("uefi"));
  EXPECT_THAT(explain_boot(fed("BdsDxe: No bootable option or device was found.\n")).hint, HasSubstr("bios"));
}

TEST(ExplainBoot, SilenceIsAMissingConsole) {
  EXPECT_THAT(explain_boot(fed("")).hint, HasSubstr("console=ttyS0"));
  EXPECT_THAT(explain_boot(fed("SeaBIOS (version 1.16.2)\nBooting from Hard Disk...\n")).hint,
              HasSubstr("console=ttyS0"));
  EXPECT_FALSE(explain_boot(fed("")).final);
}

TEST(ExplainBoot, ASystemThatIsUpIsNoProblem) {
  const BootProblem up = explain_boot(fed("web login: "));
  EXPECT_EQ(up.fact, "");
  EXPECT_THAT(up.hint, HasSubstr("the text that is waited for"));
}

}  // namespace
}  // namespace kiln

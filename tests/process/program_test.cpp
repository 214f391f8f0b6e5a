#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>

#include "process/process.h"

namespace kiln {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(Environment, HoldsNothingOfOursButTheNamedFew) {
  ::setenv("https_proxy", "http://proxy.invalid", 1);
  ::setenv("SECRET", "x", 1);
  const Outcome out = run({"env", {}, "", {"EXTRA=1", "LC_ALL=C.UTF-8"}});
  EXPECT_THAT(out.output, Not(HasSubstr("SECRET")));
  EXPECT_THAT(out.output, Not(HasSubstr("proxy")));
  EXPECT_THAT(out.output, HasSubstr("EXTRA=1\n"));
  EXPECT_THAT(out.output, HasSubstr("LC_ALL=C.UTF-8\n"));
  EXPECT_THAT(out.output, Not(HasSubstr("LC_ALL=C\n")));
  EXPECT_THAT(out.output, HasSubstr("PATH="));
}

TEST(Environment, DescriptorsDoNotLeak) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);  // inheritable on purpose
  const Outcome out = run({"sh", {"-c", "ls /proc/self/fd | wc -l"}});
  EXPECT_EQ(std::stoi(out.output), 4);  // 0, 1, 2 and the folder itself
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(FindProgram, LooksInSbinToo) {
  EXPECT_TRUE(find_program("sh"));
  EXPECT_TRUE(find_program("/bin/sh"));
  EXPECT_FALSE(find_program("kiln-no-such-program"));
  EXPECT_FALSE(find_program("/etc/passwd"));
  EXPECT_FALSE(find_program(""));
  EXPECT_TRUE(find_program("ldconfig"));
}

TEST(PackageOf, KnowsWhatKilnUses) {
  EXPECT_EQ(package_of("qemu-img"), "qemu-utils");
  EXPECT_EQ(package_of("/usr/bin/qemu-system-x86_64"), "qemu-system-x86");
  EXPECT_EQ(package_of("frobnicate"), "");
}

}  // namespace
}  // namespace kiln

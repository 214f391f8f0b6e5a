// What QEMU reads for us in the sandbox: the same bytes as without it, nothing of the host, and nothing left behind.

#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include <kiln/testing.h>

#include "disk/pump.h"
#include "engine/registry.h"
#include "formats/foreign/foreign_files.h"
#include "process/process.h"
#include "support/disks.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

const engine::Registry& registry() {
  static const engine::Registry all({fs::path(KILN_BINARY_DIR) / "lib/kiln/plugins"});
  return all;
}

/// The number of a process's parent; 1 when it has ended.
pid_t parent_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  return 1;
}

bool is_ours(pid_t pid) {
  while (pid > 1 && pid != ::getpid()) pid = parent_of(pid);
  return pid == ::getpid();
}

/// Of this test's own; a worker is seen by the file that it was told to open.
std::vector<std::string> workers() {
  const Outcome found = run({"pgrep", {"-f", "qemu-storage-daemon --blockdev .*\"filename\":\"/in/0\""}});
  std::vector<std::string> all;
  std::istringstream lines(found.output);
  for (std::string line; std::getline(lines, line);)
    if (is_ours(std::stoi(line))) all.push_back(line);
  return all;
}

bool within(Duration limit, const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

class Foreign : public testing::Test {
 protected:
  Foreign() { ::setenv("TMPDIR", tmp_.path().c_str(), 1); }
  ~Foreign() override { ::unsetenv("TMPDIR"); }

  fs::path raw_disk(std::uint64_t size = 7u << 20) {
    const fs::path raw = dir_ / "disk.raw";
    test::write_raw(
        raw, {"",
              size,
              {{0, 70000}, {2u << 20, 1u << 20, test::Piece::Kind::text}, {size / 2 - 5000, 1000}, {size - 512, 512}}});
    return raw;
  }
  test::Bytes bytes_of(const fs::path& file) {
    test::Bytes bytes(fs::file_size(file));
    File::open_read(file).read_at(0, bytes);
    return bytes;
  }
  /// The file as the format that kiln takes it for, against the raw disk and against what qemu-img makes of it.
  void expect_same(const fs::path& file, const fs::path& raw, const std::string& format) {
    const Format& found = registry().detect(file);
    ASSERT_EQ(found.about().name, format);
    EXPECT_TRUE(test::same_as_raw(*found.open(file), raw));
    test::qemu_to_raw(file, format, dir_ / "oracle.raw");
    EXPECT_TRUE(test::same_files(dir_ / "oracle.raw", raw));
  }

  test::TempDir tmp_{"kiln-tmp"}, dir_;
};

TEST_F(Foreign, WhatQemuImgWritesReadsAsItDoes) {
  const fs::path raw = raw_disk();
  for (const std::string format : {"qed", "parallels"}) {
    test::qemu_from_raw(raw, dir_ / format, format);
    expect_same(dir_ / format, raw, format);
  }
  test::qemu_from_raw(raw, dir_ / "small.qed", "qed", "cluster_size=4096,table_size=2");
  expect_same(dir_ / "small.qed", raw, "qed");
}

TEST_F(Foreign, AndWhatItDoesNotWrite) {
  const fs::path raw = raw_disk();
  test::write_bytes(dir_ / "bochs", test::bochs_disk(bytes_of(raw)));
  expect_same(dir_ / "bochs", raw, "bochs");
  test::write_bytes(dir_ / "cloop", test::cloop_disk(bytes_of(raw)));
  expect_same(dir_ / "cloop", raw, "cloop");
  test::Bytes halved = bytes_of(raw);
  std::fill(halved.begin() + static_cast<std::ptrdiff_t>(halved.size() / 2), halved.end() - 512, std::byte{0});
  test::write_bytes(raw, halved);
  test::write_bytes(dir_ / "x.dmg", test::dmg_disk(halved));
  expect_same(dir_ / "x.dmg", raw, "dmg");
}

TEST_F(Foreign, SeveralThreadsReadAtOnceAndTheBytesAreTheSame) {
  const fs::path raw = raw_disk();
  test::qemu_from_raw(raw, dir_ / "d", "qed");
  EXPECT_EQ(pump(*registry().detect(dir_ / "d").open(dir_ / "d"), {}, {.workers = 4}).content,
            pump(test::RawDisk(raw), {}).content);
}

TEST_F(Foreign, AMemberOfAnArchiveIsReadWhereItLies) {
  const fs::path raw = raw_disk();
  test::qemu_from_raw(raw, dir_ / "d", "parallels");
  test::Bytes archive(1536, std::byte{7});
  test::append(archive, bytes_of(dir_ / "d"));
  archive.resize(archive.size() + 1024, std::byte{9});
  test::write_bytes(dir_ / "archive", archive);
  const File whole = File::open_read(dir_ / "archive");
  const std::uint64_t length = fs::file_size(dir_ / "d");
  const Format& format = registry().detect(whole.part(1536, length, "d"));
  EXPECT_EQ(format.about().name, "parallels");
  EXPECT_TRUE(test::same_as_raw(*format.open(whole.part(1536, length, "d")), raw));
}

/// T48: a name is only a label.
TEST_F(Foreign, NoNameOfAFileMeansAnything) {
  const fs::path raw = raw_disk();
  test::qemu_from_raw(raw, dir_ / "d", "qed");
  for (const std::string name : {"nbd:127.0.0.1:1", "json:{\"driver\":\"nbd\"}", "--help", "a\nb", "a\"b,c=d"}) {
    fs::rename(dir_ / "d", dir_ / name);
    EXPECT_TRUE(test::same_as_raw(*registry().get("qed").open(dir_ / name), raw)) << name;
    fs::rename(dir_ / name, dir_ / "d");
  }
}

TEST_F(Foreign, TheWorkerEndsWithTheReaderAndLeavesNothing) {
  test::qemu_from_raw(raw_disk(), dir_ / "d", "qed");
  ASSERT_THAT(workers(), testing::IsEmpty());
  auto reader = registry().get("qed").open(dir_ / "d");
  EXPECT_THAT(workers(), testing::Not(testing::IsEmpty()));
  EXPECT_FALSE(fs::is_empty(tmp_.path()));
  reader.reset();
  EXPECT_TRUE(within(5s, [] { return workers().empty(); }));
  EXPECT_TRUE(fs::is_empty(tmp_.path()));
}

/// A reader may be made on one thread and used on others.
TEST_F(Foreign, TheWorkerOutlivesTheThreadThatOpenedTheFile) {
  const fs::path raw = raw_disk();
  test::qemu_from_raw(raw, dir_ / "d", "qed");
  std::shared_ptr<const BlockReader> reader;
  std::thread([&] { reader = registry().get("qed").open(dir_ / "d"); }).join();
  std::this_thread::sleep_for(100ms);
  EXPECT_TRUE(test::same_as_raw(*reader, raw));
}

TEST_F(Foreign, AWorkerThatDiesIsAnErrorAndNoHang) {
  test::qemu_from_raw(raw_disk(), dir_ / "d", "qed");
  const auto reader = registry().get("qed").open(dir_ / "d");
  for (const std::string& pid : workers()) ::kill(std::stoi(pid), SIGKILL);
  try {
    std::vector<std::byte> bytes(1u << 20);
    reader->read(0, bytes);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("cannot be read by QEMU as qed"));
    EXPECT_EQ(e.code(), "");  // that it was killed says nothing of the file
    EXPECT_FALSE(e.hint().empty());
  }
}

/// QEMU's own words reach the user. Its driver minds what kiln's check does not: that a block does not unpack.
TEST_F(Foreign, WhatQemuCannotReadIsAnErrorWithItsWords) {
  test::Bytes file = test::cloop_disk(bytes_of(raw_disk()));
  std::fill(file.begin() + 136 + 8 * 200, file.begin() + 136 + 8 * 200 + 3000, std::byte{0x55});
  test::write_bytes(dir_ / "d", file);
  const auto reader = registry().get("cloop").open(dir_ / "d");
  std::vector<std::byte> bytes(1u << 20);
  EXPECT_THROW(reader->read(0, bytes), Error);
}

class WithFakes : public Foreign {
 protected:
  ~WithFakes() override { ::setenv("PATH", before_.c_str(), 1); }
  /// A program in QEMU's place.
  void in_place_of_qemu(const std::string& script) {
    write_text(dir_ / "qemu-storage-daemon", "#!/bin/sh\n" + script + "\n");
    fs::permissions(dir_ / "qemu-storage-daemon", fs::perms(0755));
    ::setenv("PATH", (dir_.path().string() + ":" + before_).c_str(), 1);
  }
  std::string before_ = std::getenv("PATH");
};

/// T61
TEST_F(WithFakes, AWorkerThatFailsOrFloodsOrLiesIsAnErrorWithItsLastWords) {
  test::qemu_from_raw(raw_disk(), dir_ / "d", "qed");
  for (const char* script : {"echo it is broken >&2; exit 1", "exit 0", "kill -SEGV $$",
                             "while :; do echo it is a flood of words that never seems to end >&2; done"}) {
    in_place_of_qemu(script);
    const auto begin = std::chrono::steady_clock::now();
    try {
      registry().get("qed").open(dir_ / "d");
      ADD_FAILURE() << script;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr("cannot be read by QEMU as qed")) << script;
      if (std::string(script).starts_with("echo")) {
        EXPECT_THAT(e.evidence(), testing::Contains("it is broken"));
      }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 25s) << script;
    EXPECT_TRUE(fs::is_empty(tmp_.path()));
  }
}

/// A worker that reads what it is told to read: nothing of the host is there.
TEST_F(WithFakes, ACanaryOfTheHostIsNotThere) {
  test::qemu_from_raw(raw_disk(), dir_ / "d", "qed");
  write_text(dir_ / "canary", "a secret");
  in_place_of_qemu("read line <" + (dir_ / "canary").string() + " && echo \"got $line\" >&2\nexit 1");
  try {
    registry().get("qed").open(dir_ / "d");
    FAIL();
  } catch (const Error& e) {
    for (const std::string& line : e.evidence()) EXPECT_THAT(line, testing::Not(testing::HasSubstr("secret")));
  }
}

TEST_F(WithFakes, WithoutASandboxItIsRefusedUnlessAllowed) {
  const fs::path raw = raw_disk();
  test::qemu_from_raw(raw, dir_ / "d", "qed");
  write_text(dir_ / "bwrap", "#!/bin/sh\nexit 1\n");
  fs::permissions(dir_ / "bwrap", fs::perms(0755));
  ::setenv("PATH", (dir_.path().string() + ":" + before_).c_str(), 1);
  try {
    registry().get("qed").open(dir_ / "d");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.failure(), Failure::refused);
    EXPECT_THAT(e.hint(), testing::HasSubstr("--no-sandbox"));
  }
  EXPECT_TRUE(fs::is_empty(tmp_.path()));
  const engine::Registry unsafe({fs::path(KILN_BINARY_DIR) / "lib/kiln/plugins"}, false);
  EXPECT_TRUE(test::same_as_raw(*unsafe.get("qed").open(dir_ / "d"), raw));
}

/// No program is started for a file that the headers' check refuses.
TEST_F(WithFakes, NothingIsStartedForAFileThatIsRefused) {
  test::qemu_img({"create", "-q", "-f", "qed", "-F", "raw", "-b", "/etc/shadow", "-u", (dir_ / "d").string(), "1M"});
  in_place_of_qemu("exit 1");
  write_text(dir_ / "bwrap", "#!/bin/sh\necho started >" + (dir_ / "started").string() + "\nexit 1\n");
  fs::permissions(dir_ / "bwrap", fs::perms(0755));
  try {
    registry().detect(dir_ / "d").open(dir_ / "d");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code::backing_file);
    EXPECT_EQ(e.failure(), Failure::refused);
  }
  EXPECT_FALSE(fs::exists(dir_ / "started"));
}

}  // namespace
}  // namespace kiln

#include "nbd/nbd_reader.h"

#include <gmock/gmock.h>

#include <array>
#include <csignal>
#include <fstream>
#include <thread>

#include "disk/pump.h"
#include "process/process.h"
#include "support/disks.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
constexpr std::uint64_t mib = 1u << 20;

/// qemu-nbd, which serves as QEMU does.
class Server {
 public:
  Server(const std::filesystem::path& disk, const std::string& format, const std::filesystem::path& socket,
         std::vector<std::string> more = {})
      : child_(Child::start(command(disk, format, socket, std::move(more)))) {
    // The socket's file is there before anybody listens.
    for (int i = 0; i < 500 && !listens(socket); ++i) std::this_thread::sleep_for(10ms);
  }
  pid_t pid() const { return child_.pid(); }

 private:
  static Command command(const std::filesystem::path& disk, const std::string& format,
                         const std::filesystem::path& socket, std::vector<std::string> more) {
    Command c{"qemu-nbd", {"-k", socket.string(), "-r", "-t", "-e", "16", "-A", "-x", "d", "-f", format}};
    c.args.insert(c.args.end(), more.begin(), more.end());
    c.args.push_back(disk.string());
    return c;
  }
  static bool listens(const std::filesystem::path& socket) {
    try {
      open_nbd({.socket = socket, .name = "d"});
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  Child child_;
};

Digest content_of(const BlockReader& disk) {
  return pump(disk, {}).content;
}

TEST(NbdReader, HasTheBytesOfEveryShapeOfDisk) {
  for (const test::DiskShape& shape : test::sample_disks()) {
    test::TempDir dir;
    test::write_raw(dir / "d.raw", shape);
    test::qemu_from_raw(dir / "d.raw", dir / "d.qcow2", "qcow2");
    const Server server(dir / "d.qcow2", "qcow2", dir / "s");
    EXPECT_TRUE(test::same_as_raw(*open_nbd({.socket = dir / "s", .name = "d"}), dir / "d.raw")) << shape.name;
  }
}

/// A base of 8 MiB with data in its first half, and an overlay of 12 MiB with some of its own.
class NbdOverlay : public testing::Test {
 protected:
  NbdOverlay() {
    test::write_raw(dir_ / "base.raw", {"base", 8 * mib, {{0, 4 * mib}}});
    test::qemu_from_raw(dir_ / "base.raw", dir_ / "base.qcow2", "qcow2");
    {
      const Server server(dir_ / "base.qcow2", "qcow2", dir_ / "b");
      const auto disk = open_nbd({.socket = dir_ / "b", .name = "d"});
      ManifestSink sink(dir_ / "base.manifest", disk->size());
      BlockSink* const sinks[] = {&sink};
      pump(*disk, sinks);
      sink.finish();
    }
    test::qemu_img({"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", (dir_ / "base.qcow2").string(),
                    (dir_ / "top.qcow2").string(), "12M"});
    write("1M", "64k", "0x11");
    write("3100k", "100k", "0x22");
    write("10M", "1M", "0x33");
  }

  void write(const std::string& at, const std::string& length, const std::string& pattern) {
    const auto done = test::run({"qemu-io", "-f", "qcow2", "-c", "write -P " + pattern + " " + at + " " + length,
                                 (dir_ / "top.qcow2").string()});
    ASSERT_EQ(done.status, 0) << done.output;
  }

  std::shared_ptr<const BlockReader> open(bool known) {
    NbdExport from{.socket = dir_ / "s", .name = "d"};
    if (known) from.known = Manifest::open(dir_ / "base.manifest");
    from.depth = 2;
    return open_nbd(std::move(from));
  }

  test::TempDir dir_;
};

TEST_F(NbdOverlay, WhatTheBaseHoldsIsKnown) {
  const Server server(dir_ / "top.qcow2", "qcow2", dir_ / "s");
  const auto plain = open(false), known = open(true);
  EXPECT_EQ(known->size(), 12 * mib);
  EXPECT_TRUE(known->known_digest(0));
  EXPECT_FALSE(known->known_digest(16)) << "the overlay's own";
  EXPECT_TRUE(known->known_digest(17));
  EXPECT_FALSE(known->known_digest(48)) << "in part";
  EXPECT_FALSE(known->known_digest(160));
  EXPECT_FALSE(plain->known_digest(0));
  test::qemu_to_raw(dir_ / "top.qcow2", "qcow2", dir_ / "top.raw");
  EXPECT_TRUE(test::same_as_raw(*known, dir_ / "top.raw"));
  EXPECT_EQ(content_of(*known), content_of(*plain));
}

TEST_F(NbdOverlay, KnownChunksAreNotRead) {
  const Server server(dir_ / "top.qcow2", "qcow2", dir_ / "s");
  class Counting final : public BlockReader {
   public:
    explicit Counting(std::shared_ptr<const BlockReader> disk) : disk_(std::move(disk)) {}
    std::uint64_t size() const override { return disk_->size(); }
    Extent extent_at(std::uint64_t offset) const override { return disk_->extent_at(offset); }
    std::optional<Digest> known_digest(std::uint64_t chunk) const override { return disk_->known_digest(chunk); }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
      disk_->read(offset, into);
      bytes += into.size();
    }
    mutable std::atomic<std::uint64_t> bytes = 0;

   private:
    std::shared_ptr<const BlockReader> disk_;
  };
  const Counting known(open(true)), plain(open(false));
  EXPECT_EQ(content_of(known), content_of(plain));
  EXPECT_EQ(known.bytes, 3u * 64 * 1024 + mib);
  EXPECT_EQ(plain.bytes, 5 * mib);
}

TEST_F(NbdOverlay, WhatABitmapCallsCleanIsKnown) {
  test::qemu_to_raw(dir_ / "top.qcow2", "qcow2", dir_ / "before.raw");
  {
    const Server server(dir_ / "top.qcow2", "qcow2", dir_ / "s");
    const auto disk = open(false);
    ManifestSink sink(dir_ / "before.manifest", disk->size());
    BlockSink* const sinks[] = {&sink};
    pump(*disk, sinks);
    sink.finish();
  }
  std::filesystem::remove(dir_ / "s");
  test::qemu_img({"bitmap", "--add", "-g", "64k", "-f", "qcow2", (dir_ / "top.qcow2").string(), "one"});
  write("2M", "64k", "0x44");
  test::qemu_img({"bitmap", "--add", "-g", "64k", "-f", "qcow2", (dir_ / "top.qcow2").string(), "two"});
  test::qemu_img({"bitmap", "--disable", "-f", "qcow2", (dir_ / "top.qcow2").string(), "one"});
  write("5M", "1k", "0x55");
  test::qemu_img({"bitmap", "--disable", "-f", "qcow2", (dir_ / "top.qcow2").string(), "two"});
  const Server server(dir_ / "top.qcow2", "qcow2", dir_ / "s", {"-B", "one", "-B", "two"});
  NbdExport from{.socket = dir_ / "s", .name = "d"};
  from.known = Manifest::open(dir_ / "before.manifest");
  from.bitmaps = {"one", "two"};
  const auto disk = open_nbd(std::move(from));
  EXPECT_TRUE(disk->known_digest(16));
  EXPECT_FALSE(disk->known_digest(32));
  EXPECT_FALSE(disk->known_digest(80));
  test::qemu_to_raw(dir_ / "top.qcow2", "qcow2", dir_ / "top.raw");
  EXPECT_TRUE(test::same_as_raw(*disk, dir_ / "top.raw"));
  EXPECT_EQ(content_of(*disk), content_of(*open(false)));
}

TEST_F(NbdOverlay, AServerThatEndsIsAnError) {
  auto server = std::make_unique<Server>(dir_ / "top.qcow2", "qcow2", dir_ / "s");
  const auto disk = open(false);
  server.reset();
  std::vector<std::byte> into(mib);
  EXPECT_THROW(disk->read(0, into), Error);
  EXPECT_THROW(disk->read(0, into), Error);
}

TEST_F(NbdOverlay, AServerThatHangsCanBeLeft) {
  const Server server(dir_ / "top.qcow2", "qcow2", dir_ / "s");
  std::stop_source stop;
  const auto disk = open_nbd({.socket = dir_ / "s", .name = "d", .stop = stop.get_token()});
  ::kill(server.pid(), SIGSTOP);
  std::jthread later([&] {
    std::this_thread::sleep_for(200ms);
    stop.request_stop();
  });
  std::vector<std::byte> into(mib);
  try {
    disk->read(0, into);
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_TRUE(is_cancelled(error)) << error.what();
  }
}

TEST_F(NbdOverlay, AnExportThatIsNotThere) {
  const Server server(dir_ / "top.qcow2", "qcow2", dir_ / "s");
  EXPECT_THROW(open_nbd({.socket = dir_ / "s", .name = "other"}), Error);
  NbdExport from{.socket = dir_ / "s", .name = "d"};
  from.known = Manifest::open(dir_ / "base.manifest");
  from.bitmaps = {"none"};
  EXPECT_THROW(open_nbd(std::move(from)), Error);
}

}  // namespace
}  // namespace kiln

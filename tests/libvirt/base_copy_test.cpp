#include "libvirt/base_copy.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <ctime>
#include <thread>

#include <kiln/file.h>

#include "disk/fakes.h"
#include "libvirt/hosts.h"
#include "libvirt/manifest_of.h"

namespace kiln {
namespace {

using test::first_host;
using test::RuleDisk;
constexpr std::uint64_t C = chunk_size, MiB = 1 << 20;

/// A guest that writes the header of another format onto its own disk (as in CVE-2026-24708).
class Disguised final : public RuleDisk {
 public:
  using RuleDisk::RuleDisk;
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    RuleDisk::read(offset, into);
    if (offset != 0) return;
    // "QFI\xfb", version 3, no backing file, clusters of 64 KiB, 1 MiB
    constexpr std::array<unsigned char, 32> header{'Q', 'F', 'I', 0xfb, 0, 0, 0, 3,  0, 0, 0, 0, 0, 0,  0, 0,
                                                   0,   0,   0,   0,    0, 0, 0, 16, 0, 0, 0, 0, 0, 16, 0, 0};
    std::memcpy(into.data(), header.data(), header.size());
  }
};

class BaseCopy : public testing::Test {
 protected:
  BaseCopy() : connection_(std::make_shared<Connection>(first_host().uri())) {
    for (const std::string& name : first_host().volumes("base-")) storage().remove(name);
  }
  Storage storage() const { return Storage(connection_, first_host().uri()); }

  Manifest manifest(const BlockReader& disk) {
    known_.push_back(test::manifest_of(disk, folder_ / std::to_string(++count_)));
    return known_.back();
  }
  BaseOnHost prepare(const BlockReader& disk) {
    const Manifest wanted = manifest(disk);
    return prepare(disk, wanted, storage());
  }
  BaseOnHost prepare(const BlockReader& disk, const Manifest& wanted, const Storage& there) const {
    return prepare_base(there, {.manifest = wanted,
                                .open = [&] { return std::shared_ptr<const BlockReader>(&disk, [](auto*) {}); },
                                .manifest_of = [this](const Digest& content) { return known(content); }});
  }
  std::optional<Manifest> known(const Digest& content) const {
    for (const Manifest& one : known_)
      if (one.content() == content) return one;
    return std::nullopt;
  }
  static void expect_same(const DiskFile& file, const BlockReader& disk) {
    EXPECT_EQ(file.format, "raw");
    ASSERT_EQ(std::filesystem::file_size(file.file), disk.size());
    const File there = File::open_read(file.file);
    std::vector<std::byte> one(C), other(C);
    for (std::uint64_t at = 0; at < disk.size(); at += C) {
      const std::size_t n = std::min(C, disk.size() - at);
      ASSERT_EQ(there.read_some(at, std::span(one).first(n)), n);
      disk.read(at, std::span(other).first(n));
      ASSERT_EQ(std::memcmp(one.data(), other.data(), n), 0) << "at " << at;
    }
  }

  std::shared_ptr<Connection> connection_;
  test::TempDir folder_;
  std::vector<Manifest> known_;
  int count_ = 0;
};

TEST_F(BaseCopy, TheFirstSendsItsDataTheNextWhatDiffersAndNobodySendsTwice) {
  const RuleDisk first(64 * MiB, {{MiB, 24 * MiB, true}, {60 * MiB, MiB, true}});
  const BaseOnHost one = prepare(first);
  EXPECT_EQ(one.sent, 25 * MiB);
  expect_same(one.disk, first);
  struct stat stat {};
  ASSERT_EQ(::stat(one.disk.file.c_str(), &stat), 0);
  EXPECT_LT(static_cast<std::uint64_t>(stat.st_blocks) * 512, 30 * MiB) << "holes stay holes";

  // Changed in two places, emptied in one, and longer.
  const RuleDisk second(80 * MiB, {{MiB, 4 * MiB, true},
                                   {5 * MiB, 3 * C, true, true},
                                   {5 * MiB + 3 * C, 20 * MiB - 3 * C, true},
                                   {70 * MiB, C, true}});
  const BaseOnHost two = prepare(second);
  EXPECT_EQ(two.sent, 3 * C + MiB + C);
  expect_same(two.disk, second);
  expect_same(one.disk, first);
  EXPECT_EQ(prepare(second).sent, 0U);
  EXPECT_EQ(prepare(first).disk.file, one.disk.file);
  EXPECT_EQ(first_host().volumes("base-").size(), 4U) << "two disks and their markers";
}

TEST_F(BaseCopy, OfSeveralTheNearestIsCopied) {
  const RuleDisk far(16 * MiB, {{0, 8 * MiB, true, true}}), near(16 * MiB, {{0, 8 * MiB, true}});
  prepare(near);
  EXPECT_EQ(prepare(far).sent, 8 * MiB);
  EXPECT_EQ(prepare(RuleDisk(16 * MiB, {{0, 8 * MiB, true}, {9 * MiB, C, true}})).sent, C);
  EXPECT_EQ(prepare(RuleDisk(8 * MiB, {{0, 8 * MiB, true}})).sent, 8 * MiB) << "a copy cannot be made smaller";
}

TEST_F(BaseCopy, WhatFailsLeavesNothing) {
  RuleDisk disk(32 * MiB, {{0, 16 * MiB, true}});
  const Manifest wanted = manifest(disk);
  disk.on_read = [](std::uint64_t offset) {
    if (offset > 5 * MiB) throw Error("the disk of the catalog is damaged");
  };
  try {
    prepare(disk, wanted, storage());
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the disk of the catalog is damaged");
  }
  EXPECT_THAT(first_host().volumes("base-"), testing::IsEmpty());
  disk.on_read = nullptr;
  expect_same(prepare(disk, wanted, storage()).disk, disk);
}

TEST_F(BaseCopy, WhatWasCutIsUsedByNobodyAndGoesWhenItIsOld) {
  const RuleDisk disk(4 * MiB, {{0, MiB, true}});
  const std::string begin = "base-" + to_hex(manifest(disk).content());
  for (const char* end : {"-00000001.raw", "-00000002.raw"})
    storage().create({.name = begin + end, .format = "raw", .capacity = 4 * MiB});
  const std::array<timespec, 2> long_ago{{{std::time(nullptr) - 2 * 86400, 0}, {std::time(nullptr) - 2 * 86400, 0}}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (first_host().pool() / (begin + "-00000001.raw")).c_str(), long_ago.data(), 0), 0);
  const BaseOnHost made = prepare(disk);
  EXPECT_EQ(made.sent, MiB);
  expect_same(made.disk, disk);
  EXPECT_FALSE(storage().find(begin + "-00000001.raw"));
  EXPECT_TRUE(storage().find(begin + "-00000002.raw")) << "somebody may be sending it";
}

TEST_F(BaseCopy, TwoAtOnceDisturbNeither) {
  const RuleDisk disk(64 * MiB, {{0, 32 * MiB, true}});
  const Manifest wanted = manifest(disk);
  std::array<DiskFile, 3> made;
  std::vector<std::jthread> kilns;
  for (DiskFile& one : made)
    kilns.emplace_back([&] {
      const Storage there(std::make_shared<Connection>(first_host().uri()), first_host().uri());
      one = prepare(disk, wanted, there).disk;
    });
  kilns.clear();
  for (const DiskFile& one : made) expect_same(one, disk);
  const auto left = first_host().volumes("base-");
  EXPECT_EQ(left.size() % 2, 0U) << "each disk has its marker";
}

TEST_F(BaseCopy, ADiskThatLooksLikeAnotherFormatIsNoSourceOfCopies) {
  const Disguised disk(4 * MiB, {{0, 2 * MiB, true}});
  const BaseOnHost made = prepare(disk);
  first_host().stop();
  first_host().start();  // now it guesses what the volumes are
  connection_ = std::make_shared<Connection>(first_host().uri());
  ASSERT_EQ(storage().find(made.disk.file.filename())->format, "qcow2");
  EXPECT_EQ(prepare(disk).disk.format, "raw");
  const Disguised next(4 * MiB, {{0, 2 * MiB, true}, {3 * MiB, C, true}});
  const BaseOnHost other = prepare(next);
  EXPECT_EQ(other.sent, 2 * MiB + C);
  expect_same(other.disk, next);
}

}  // namespace
}  // namespace kiln

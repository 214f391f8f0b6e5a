// What is in an OVA, as tar, sha256sum, qemu-img and kiln's own import read it.

#include "formats/ova/ova_files.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using test::member;
using test::must;
using test::write_ova;
using testing::HasSubstr;

constexpr std::uint64_t MiB = 1 << 20, GiB = 1 << 30;

class OvaWrite : public testing::Test {
 protected:
  void write(const test::DiskShape& shape, const Table& options = {}) {
    fs::remove(raw);
    fs::remove(file);
    test::write_raw(raw, shape);
    content = write_ova(test::RawDisk(raw), file, options);
  }

  const test::TempDir dir;
  const fs::path raw = dir / "raw", file = dir / "web.ova";
  const test::DiskShape mixed{"mixed", 70 * MiB, {{0, 3 * MiB, test::Piece::Kind::text}, {40 * MiB + 512, MiB}}};
  Digest content;
};

TEST_F(OvaWrite, ImportTakesItWithItsManifest) {
  for (const test::DiskShape& one : test::sample_disks(true)) {
    SCOPED_TRACE(one.name);
    write(one);
    const test::Taken taken(file);
    ASSERT_TRUE(taken.ctx.produced);
    fs::resize_file(raw, (one.size + 511) / 512 * 512);
    EXPECT_TRUE(test::same_as_raw(*taken.ctx.produced, raw));
    EXPECT_TRUE(taken.ctx.findings.empty()) << taken.ctx.findings.front().what;
    EXPECT_THAT(taken.ctx.summed_up, HasSubstr("ova, 1 disk (vmdk streamOptimized)"));
    if (one.size % 512 == 0) {
      EXPECT_EQ(pump(*taken.ctx.produced, {}).content, content);
    }
  }
}

TEST_F(OvaWrite, OthersReadItsMembers) {
  write(mixed);
  EXPECT_EQ(must({"tar", "-tf", file.string()}), "machine.ovf\nmachine.mf\nmachine-disk1.vmdk\n");
  must({"tar", "-C", dir.path().string(), "-xf", file.string()});
  must({"sh", "-c", R"(cd "$0" && sed 's/^SHA256(\(.*\))= \(.*\)$/\2  \1/' machine.mf | sha256sum -c --strict)",
        dir.path().string()});
  const std::string vmdk = (dir / "machine-disk1.vmdk").string();
  test::qemu_img({"compare", "-q", "-f", "vmdk", "-F", "raw", vmdk, raw.string()});
  test::qemu_img({"check", "-q", "-f", "vmdk", vmdk});
  EXPECT_THAT(test::qemu_img({"info", "-f", "vmdk", vmdk}), HasSubstr("streamOptimized"));
}

TEST_F(OvaWrite, SeveralDisksComeBackInTheirOrder) {
  std::vector<fs::path> raws;
  std::vector<std::unique_ptr<test::RawDisk>> disks;
  for (const std::uint64_t size : {3 * MiB, 70 * MiB + 512, MiB}) {
    raws.push_back(dir / ("raw" + std::to_string(raws.size())));
    test::write_raw(raws.back(), {"one", size, {{MiB / 2, MiB / 4}}});
    disks.push_back(std::make_unique<test::RawDisk>(raws.back()));
  }
  const std::vector<const BlockReader*> all{disks[0].get(), disks[1].get(), disks[2].get()};
  test::pack_ova(all, file);
  EXPECT_EQ(must({"tar", "-tf", file.string()}),
            "machine.ovf\nmachine.mf\nmachine-disk1.vmdk\nmachine-disk2.vmdk\nmachine-disk3.vmdk\n");
  const test::Taken taken(file);
  EXPECT_TRUE(taken.ctx.findings.empty()) << taken.ctx.findings.front().what;
  EXPECT_TRUE(test::same_as_raw(*taken.ctx.produced, raws[0]));
  ASSERT_EQ(taken.ctx.known_parts.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(taken.ctx.known_parts[i].name, "disk" + std::to_string(i + 1));
    EXPECT_TRUE(test::same_as_raw(*taken.ctx.known_parts[i].disk->open(), raws[i + 1]));
  }
  test::pack_ova(all, dir / "again.ova", {}, {}, 1);
  EXPECT_TRUE(test::same_files(file, dir / "again.ova"));
}

TEST_F(OvaWrite, TakesAsManyDisksAsItsControllerHasPlaces) {
  for (const auto& [controller, most] : {std::pair("sata", 30), std::pair("scsi", 15)}) {
    const Table options{{"controller", Value{std::string(controller)}}};
    std::vector<std::uint64_t> sizes(static_cast<std::size_t>(most), MiB);
    fs::remove(file);
    const auto package = test::ova().pack_with(file, sizes, {}, options);
    for (std::size_t i = 0; i < sizes.size(); ++i) package->next_disk().finish();
    package->finish([](std::uint64_t, std::uint64_t) {});
    const std::string ovf = member(file, "machine.ovf");
    EXPECT_EQ(test::Taken(file).ctx.known_parts.size(), sizes.size() - 1);
    // The adapter itself is target 7.
    EXPECT_EQ(ovf.find("<rasd:AddressOnParent>15</rasd:AddressOnParent>") != std::string::npos, true);
    sizes.push_back(MiB);
    EXPECT_THROW(test::ova().pack_with(dir / "more.ova", sizes, {}, options), Error);
    EXPECT_FALSE(fs::exists(dir / "more.ova"));
  }
}

TEST_F(OvaWrite, WhatIsNotFinishedIsGone) {
  {
    const auto package = test::ova().pack_with(file, {MiB, MiB}, {}, {});
    package->next_disk().finish();
  }
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(OvaWrite, IsPlainUstar) {
  write(mixed);
  std::array<std::byte, 512> header{};
  File::open_read(file).read_at(0, header);
  const std::string text(reinterpret_cast<const char*>(header.data()), header.size());
  EXPECT_EQ(text.substr(257, 8), std::string("ustar\0", 6) + "00");
  EXPECT_EQ(text[156], '0');
  EXPECT_EQ(fs::file_size(file) % 512, 0u);
}

TEST_F(OvaWrite, TheSameContentGivesTheSameBytes) {
  write(mixed);
  write_ova(test::RawDisk(raw), dir / "other name.ova", {}, 1);
  write_ova(test::RawDisk(raw), dir / "third.ova", {}, 4);
  EXPECT_TRUE(test::same_files(file, dir / "other name.ova"));
  EXPECT_TRUE(test::same_files(file, dir / "third.ova"));
}

TEST_F(OvaWrite, SaysTheSizeOfTheFileAndOfTheDisk) {
  write(mixed);
  const std::string ovf = member(file, "machine.ovf");
  const std::string size = std::to_string(member(file, "machine-disk1.vmdk").size());
  EXPECT_THAT(ovf, HasSubstr("ovf:size=\"" + size + '"'));
  EXPECT_THAT(ovf, HasSubstr("ovf:capacity=\"" + std::to_string(70 * MiB) + '"'));
}

TEST_F(OvaWrite, IsNoFormatToReadBy) {
  write(mixed);
  EXPECT_EQ(test::ova().probe({}), Match::no);
  for (const bool open : {false, true}) try {
      open ? void(test::ova().open(file)) : void(test::ova().inspect(file));
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_THAT(error.hint(), HasSubstr("import it"));
    }
}

TEST_F(OvaWrite, TakesADiskOfTebibytes) {
  const auto sink = test::ova().create_with(file, 8192 * GiB, {});
  sink->finish();
  EXPECT_EQ(test::Taken(file).ctx.produced->size(), 8192 * GiB);
}

}  // namespace
}  // namespace kiln

#include "catalog/oci_export.h"

#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include <nlohmann/json.hpp>

#include "catalog/codec.h"
#include "fixture.h"
#include "process/file_lock.h"
#include "support/oci_files.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using test::make_disk;
using test::OciFiles;
using test::publish;
constexpr std::uint64_t MiB = 1 << 20;

class OciExportTest : public testing::Test {
 protected:
  OciExportTest() {
    publish(
        catalog, make_disk(4 * MiB + 1000, 1),
        {"web", "1", "", 0, {{"os.arch", "aarch64"}, {"os.type", "linux"}, {"key", "abc"}, {"source.kind", "import"}}});
  }
  OciExported write(const std::string& image, const fs::path& into, std::stop_token stop = {}) {
    const ImageEntry entry = catalog.show(image, Action::write_out);
    return export_oci(catalog.read_stored(entry.image), entry,
                      {.folder = into, .stop = std::move(stop), .progress = {}});
  }
  /// Name and bytes of every file.
  static std::map<std::string, std::string> contents(const fs::path& below) {
    std::map<std::string, std::string> all;
    for (const std::string& name : test::files_in(below)) all[name] = OciFiles::slurp(below / name);
    return all;
  }

  test::TempDir folder;
  LocalCatalog catalog{folder / "catalog"};
  const fs::path to = folder / "out" / "layout";
};

TEST_F(OciExportTest, SaysOfItselfWhatTheSpecificationAsksFor) {
  const OciExported made = write("web", to);
  EXPECT_EQ(made.tag, "web:1");
  EXPECT_EQ(OciFiles::slurp(to / "oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
  const OciFiles files(to);
  EXPECT_EQ(files.top["schemaVersion"], 2);
  ASSERT_EQ(files.top["manifests"].size(), 1U);
  const auto& entry = files.top["manifests"][0];
  EXPECT_EQ(entry["mediaType"], "application/vnd.oci.image.manifest.v1+json");
  EXPECT_EQ(entry["digest"], "sha256:" + to_hex(made.manifest));
  EXPECT_EQ(entry["platform"], nlohmann::json::parse(R"({"architecture":"arm64","os":"linux"})"));
  EXPECT_EQ(entry["annotations"]["org.opencontainers.image.ref.name"], "web:1");
  EXPECT_EQ(files.manifest["annotations"]["org.opencontainers.image.version"], "1");
  EXPECT_EQ(files.manifest["annotations"]["vnd.kiln.disk.index"], files.manifest["layers"][0]["digest"]);
  EXPECT_EQ(files.config["architecture"], "arm64");
  EXPECT_EQ(files.config["kiln"]["facts"],
            nlohmann::json::parse(R"({"os.arch":"aarch64","os.type":"linux","source.kind":"import"})"));
  for (const std::string& name : test::files_in(to / "blobs/sha256"))
    EXPECT_EQ(hash_file(to / "blobs/sha256" / name), name);
  EXPECT_EQ(test::files_in(to / "blobs/sha256").size(), made.blobs);
  EXPECT_EQ(made.copied, made.blobs);
}

TEST_F(OciExportTest, ThePlatformIsFilledWhenNobodyHasLooked) {
  publish(catalog, make_disk(MiB, 2), {"bare", "1", "", 0, {}});
  write("bare", to);
  EXPECT_EQ(OciFiles(to).top["manifests"][0]["platform"],
            nlohmann::json::parse(R"({"architecture":"amd64","os":"linux"})"));
}

/// As docs/oci.md tells another program to read it, without a line of kiln's reader.
TEST_F(OciExportTest, AnotherProgramCanReadItByThePage) {
  write("web", to);
  const OciFiles files(to);
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(files.chunks[at + i]);
    return value;
  };
  ASSERT_EQ(files.chunks.substr(0, 8), "KILNOCI1");
  const std::uint64_t size = number(8, 8), count = number(16, 8);
  ASSERT_EQ(number(24, 4), 65536U);
  ASSERT_EQ(files.chunks.size(), 64 + 56 * count);
  ASSERT_EQ(number(28, 4) + 1, files.manifest["layers"].size());
  std::vector<std::byte> disk((size + 65535) / 65536 * 65536);
  for (std::uint64_t row = 0; row < count; ++row) {
    const std::size_t at = 64 + 56 * row;
    const std::string blob = OciFiles::slurp(files.blob(files.manifest["layers"][1 + number(at + 40, 4)]));
    const std::string stored = blob.substr(number(at + 44, 4), number(at + 48, 4));
    ASSERT_TRUE(decode_chunk(static_cast<Codec>(number(at + 52, 1)), std::as_bytes(std::span(stored)),
                             std::span(disk).subspan(number(at, 8) * 65536, 65536)));
  }
  disk.resize(size);
  EXPECT_EQ(disk, test::read_all(make_disk(4 * MiB + 1000, 1)));
}

TEST_F(OciExportTest, TheSameImageGivesTheSameBytes) {
  write("web", to);
  write("web", folder / "two");
  EXPECT_EQ(contents(to), contents(folder / "two"));
  const auto before = contents(to);
  EXPECT_EQ(write("web", to).copied, 0U);
  EXPECT_EQ(contents(to), before);
}

TEST_F(OciExportTest, ARepeatedChunkIsWrittenOnce) {
  std::vector<std::byte> bytes(8 * MiB);
  for (std::uint64_t at = 0; at < bytes.size(); at += chunk_size)
    test::fill(std::span(bytes).subspan(at, chunk_size), test::Piece::Kind::random, at % (2 * chunk_size));
  publish(catalog, test::MemoryDisk(bytes), {"twice", "1", "", 0, {}});
  EXPECT_LT(write("twice", to).bytes, 3 * chunk_size);
}

TEST_F(OciExportTest, GroupsEndAt16MiB) {
  std::vector<std::byte> bytes(20 * MiB);
  test::fill(bytes, test::Piece::Kind::random, 7);
  publish(catalog, test::MemoryDisk(std::move(bytes)), {"big", "1", "", 0, {}});
  write("big", to);
  const auto layers = OciFiles(to).manifest["layers"];
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_EQ(layers[1]["size"], 16 * MiB);
  EXPECT_EQ(layers[2]["annotations"]["vnd.kiln.disk.begin"], std::to_string(16 * MiB));
  EXPECT_EQ(layers[2]["annotations"]["vnd.kiln.disk.end"], std::to_string(20 * MiB));
}

TEST_F(OciExportTest, AnotherImageIsAddedAndAChangedOneRefused) {
  publish(catalog, make_disk(4 * MiB + 1000, 1), {"web", "2", "", 0, {}});
  write("web:1", to);
  const OciExported second = write("web:2", to);
  EXPECT_EQ(second.copied, 2U);  // manifest and configuration: the content is there
  EXPECT_EQ(OciFiles(to).top["manifests"].size(), 2U);

  LocalCatalog other(folder / "other");
  publish(other, make_disk(MiB, 9), {"web", "1", "", 0, {}});
  const ImageEntry entry = other.show("web", Action::write_out);
  const auto before = contents(to);
  const Error error = test::error_of([&] { export_oci(other.read_stored(entry.image), entry, {.folder = to}); });
  EXPECT_EQ(error.what(), to.string() + " holds another image as web:1");
  EXPECT_EQ(error.failure(), Failure::refused);
  EXPECT_EQ(contents(to), before);
}

TEST_F(OciExportTest, ABlobThatWasDamagedIsMended) {
  write("web", to);
  const auto before = contents(to);
  const fs::path group = OciFiles(to).blob(OciFiles(to).manifest["layers"][1]);
  test::flip_byte(group, 100);
  EXPECT_EQ(write("web", to).blobs, 4U);
  EXPECT_EQ(contents(to), before);
}

TEST_F(OciExportTest, OtherFoldersAreLeftAlone) {
  fs::create_directories(to);
  std::ofstream(to / "letter.txt") << "mine";
  const Error error = test::error_of([&] { write("web", to); });
  EXPECT_EQ(error.what(), to.string() + " has other things in it");
  EXPECT_EQ(error.failure(), Failure::invalid);
  EXPECT_EQ(test::files_in(folder / "out"), (std::set<std::string>{"layout/letter.txt"}));
  fs::remove(to / "letter.txt");
  EXPECT_NO_THROW(write("web", to));  // an empty folder is as good as none
  EXPECT_EQ(test::error_of([&] { write("web", to / "oci-layout"); }).failure(), Failure::invalid);
}

TEST_F(OciExportTest, ALayoutDoesNotSendWritesElsewhere) {
  write("web", to);
  fs::create_directories(folder / "elsewhere");
  fs::rename(to / "blobs/sha256", folder / "elsewhere/sha256");
  fs::create_directory_symlink(folder / "elsewhere/sha256", to / "blobs/sha256");
  EXPECT_EQ(test::error_of([&] { write("web", to); }).failure(), Failure::refused);
}

TEST_F(OciExportTest, WhatFailsLeavesNothing) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(test::error_of([&] { write("web", to, stop.get_token()); }).failure(), Failure::cancelled);
  EXPECT_TRUE(fs::is_empty(folder / "out"));

  publish(catalog, make_disk(MiB, 5), {"db", "1", "", 0, {}});
  write("db", to);
  const auto before = contents(to);
  EXPECT_EQ(test::error_of([&] { write("web", to, stop.get_token()); }).failure(), Failure::cancelled);
  EXPECT_EQ(contents(to), before);
}

TEST_F(OciExportTest, ADamagedChunkIsNotExported) {
  for (const std::string& pack : test::files_in(catalog.folder() / "packs"))
    test::flip_byte(catalog.folder() / "packs" / pack, 5000);
  EXPECT_THAT(test::error_of([&] { write("web", to); }).what(), testing::HasSubstr("is damaged"));
  EXPECT_TRUE(fs::is_empty(folder / "out"));
}

TEST_F(OciExportTest, WhatAKilledOneLeftIsTakenAway) {
  fs::create_directories(folder / "out/.layout.kiln-oci/blobs/sha256");
  std::ofstream(folder / "out/.layout.kiln-oci/blobs/sha256/half") << "half";
  std::ofstream(folder / "out/.layout.kiln-oci/oci-layout") << "";
  write("web", to);
  EXPECT_EQ(test::files_in(folder / "out").size(), 2 + 4U);
  const std::string half = "." + std::string(64, 'a') + ".kiln-12-34";
  std::ofstream(to / "blobs/sha256" / half) << "half";
  write("web", to);
  EXPECT_FALSE(fs::exists(to / "blobs/sha256" / half));
}

TEST_F(OciExportTest, TwoAtOnceIntoANewFolderAreOne) {
  fs::create_directories(folder / "out/.layout.kiln-oci");
  const FileLock other = FileLock::exclusive(folder / "out/.layout.kiln-oci/oci-layout");
  EXPECT_EQ(test::error_of([&] { write("web", to); }).what(), "another kiln is making " + to.string());
  EXPECT_TRUE(fs::exists(folder / "out/.layout.kiln-oci"));
}

}  // namespace
}  // namespace kiln

// Layouts that kiln has exported and somebody has changed since.
#include <gmock/gmock.h>

#include <fstream>
#include <functional>

#include <kiln/testing.h>
#include <nlohmann/json.hpp>

#include "catalog/fixture.h"
#include "catalog/oci_export.h"
#include "support/oci_files.h"
#include "support/plugins.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using fakes::FakeContext;
using nlohmann::json;
using test::OciFiles;
using testing::HasSubstr;
using testing::StartsWith;
constexpr std::uint64_t MiB = 1 << 20, size = 9 * MiB / 4 + 1000;  // its last chunk is of data

class ImportOci : public testing::Test {
 protected:
  ImportOci() {
    add(disk, {"web", "1", "", 0, {{"os.distro", "debian"}, {"source.file", "vendor.vhd"}, {"parent", "p"}}});
  }
  void add(const BlockReader& content, const ImageDraft& draft) {
    test::publish(catalog, content, draft);
    const ImageEntry entry = catalog.show(draft.name + ":" + draft.version, Action::write_out);
    export_oci(catalog.read_stored(entry.image), entry, {.folder = layout});
  }
  void run(FakeContext& ctx, const std::string& tag = {}) {
    Table params{{"file", Value{layout}}};
    if (!tag.empty()) params["tag"] = Value{tag};
    test::load_stage("import").run_with(ctx, params);
  }
  /// What an import says after the layout was changed like that, and put together again.
  Error after(const std::function<void(OciFiles&)>& change, bool sign = false) {
    OciFiles files(layout);
    change(files);
    if (sign) files.sign_chunks();
    files.store();
    FakeContext ctx;
    return test::error_of([&] {
      run(ctx);
      if (ctx.produced) test::read_all(*ctx.produced);
    });
  }
  std::string said(const std::function<void(OciFiles&)>& change, bool sign = false) {
    const Error error = after(change, sign);
    EXPECT_NE(error.hint(), "");
    return error.what();
  }

  const test::MemoryDisk disk = test::make_disk(size, 1);
  test::TempDir folder;
  LocalCatalog catalog{folder / "catalog"};
  const fs::path layout = folder / "layout";
};

TEST_F(ImportOci, GivesTheSameDiskAndKeepsTheFacts) {
  FakeContext ctx;
  run(ctx);
  ASSERT_TRUE(ctx.produced);
  EXPECT_TRUE(test::same_content(*ctx.produced, disk));
  EXPECT_EQ(test::publish(catalog, *ctx.produced, {"again", "1", "", 0, {}}).new_chunks, 0U);
  EXPECT_EQ(ctx.known_facts.at("os.distro"), "debian");
  EXPECT_EQ(ctx.known_facts.at("origin.file"), "vendor.vhd");
  EXPECT_EQ(ctx.known_facts.at("origin.version"), "1");
  EXPECT_EQ(ctx.known_facts.at("source.format"), "oci");
  EXPECT_EQ(ctx.known_facts.at("source.file"), "layout");
  EXPECT_EQ(ctx.known_facts.at("source.tag"), "web:1");
  EXPECT_FALSE(ctx.known_facts.contains("parent"));
  EXPECT_EQ(ctx.summed_up, "layout  oci web:1, 2.3 MiB");
}

TEST_F(ImportOci, ReadsAnyPieceOfTheDisk) {
  FakeContext ctx;
  run(ctx);
  const std::vector<std::byte> whole = test::read_all(disk);
  for (const std::uint64_t at : {std::uint64_t{0}, chunk_size - 1, 3 * chunk_size + 17, disk.size() - 600}) {
    std::vector<std::byte> part(600);
    ctx.produced->read(at, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(at))) << at;
  }
  std::uint64_t at = 0;
  while (at < disk.size()) {
    const Extent extent = ctx.produced->extent_at(at), expected = disk.extent_at(at);
    EXPECT_EQ(extent.data, expected.data);
    ASSERT_GT(extent.length, 0U);
    at += extent.length;
  }
  EXPECT_EQ(at, disk.size());
}

TEST_F(ImportOci, OneOfSeveralIsFoundByItsTag) {
  add(test::make_disk(MiB, 2), {"db", "7", "", 0, {}});
  FakeContext ctx;
  const Error which = test::error_of([&] { run(ctx); });
  EXPECT_EQ(which.what(), layout.string() + " holds 2 images");
  EXPECT_EQ(which.hint(), "say which with its tag: web:1, db:7");
  EXPECT_EQ(test::error_of([&] { run(ctx, "no"); }).what(), layout.string() + " holds no image with the tag no");
  run(ctx, "db:7");
  EXPECT_EQ(ctx.produced->size(), MiB);
}

TEST_F(ImportOci, ChecksItsParametersBeforehand) {
  const Stage& stage = test::load_stage("import");
  fakes::FakeFormats formats;
  fakes::FakeCheck check(formats);
  stage.check_with({{"file", Value{layout}}, {"sha256", Value{std::string(64, 'a')}}}, check);
  ASSERT_EQ(check.problems.size(), 1U);
  EXPECT_THAT(check.problems[0].what, StartsWith("\"sha256\" is for a file"));
  std::ofstream(folder / "plain.img") << "x";
  fakes::FakeCheck second(formats);
  stage.check_with({{"file", Value{folder / "plain.img"}}, {"tag", Value{std::string("web:1")}}}, second);
  ASSERT_EQ(second.problems.size(), 1U);
  EXPECT_THAT(second.problems[0].what, StartsWith("\"tag\" is for the folder"));
  const Table params{{"file", Value{layout}}};
  const std::string before = stage.fingerprint_with(params);
  EXPECT_EQ(stage.fingerprint_with(params), before);
  add(test::make_disk(MiB, 2), {"db", "7", "", 0, {}});
  EXPECT_NE(stage.fingerprint_with(params), before);
}

TEST_F(ImportOci, EveryByteOfEveryBlobIsVerified) {
  for (const std::string& name : test::files_in(layout / "blobs/sha256")) {
    const fs::path blob = layout / "blobs/sha256" / name;
    const std::uint64_t bytes = fs::file_size(blob);
    for (const std::uint64_t at : {std::uint64_t{0}, bytes / 2, bytes - 1}) {
      FakeContext ctx;
      test::flip_byte(blob, at);
      EXPECT_EQ(test::error_of([&] { run(ctx); }).what(), "blob sha256:" + name + " is damaged: its sha256 is another");
      EXPECT_FALSE(ctx.produced);
      test::flip_byte(blob, at);
    }
    FakeContext ctx;
    fs::rename(blob, folder / "aside");
    EXPECT_EQ(test::error_of([&] { run(ctx); }).what(), blob.string() + " is missing");
    fs::copy_file(folder / "aside", blob);
    test::cut_file(blob, bytes - 1);
    EXPECT_EQ(test::error_of([&] { run(ctx); }).what(), "blob sha256:" + name + " is damaged: its size is another");
    fs::rename(folder / "aside", blob);
  }
}

TEST_F(ImportOci, WhatChangesAfterItWasVerifiedIsNoticed) {
  FakeContext ctx;
  run(ctx);
  const OciFiles files(layout);
  test::flip_byte(files.blob(files.manifest["layers"][1]), 70'000);
  EXPECT_THAT(test::error_of([&] { test::read_all(*ctx.produced); }).what(), HasSubstr("is damaged"));
}

TEST_F(ImportOci, LinksAreNotFollowed) {
  const OciFiles files(layout);
  const fs::path group = files.blob(files.manifest["layers"][1]);
  const auto refused_for = [&](const fs::path& path) {
    fs::rename(path, folder / "aside");
    fs::create_symlink(folder / "aside", path);
    FakeContext ctx;
    const Error error = test::error_of([&] { run(ctx); });
    EXPECT_EQ(error.failure(), Failure::refused) << path;
    EXPECT_THAT(error.what(), StartsWith(path.string() + " is not a "));
    fs::remove(path);
    fs::rename(folder / "aside", path);
  };
  for (const fs::path& path :
       {group, layout / "index.json", layout / "oci-layout", layout / "blobs/sha256", layout / "blobs"})
    refused_for(path);
}

TEST_F(ImportOci, NamesAreNeverPaths) {
  OciFiles files(layout);
  for (const std::string digest : {"sha256:../../../../../../etc/passwd", "/etc/passwd", "sha512:00", ""}) {
    files.top["manifests"][0]["digest"] = digest;
    OciFiles::write(layout / "index.json", files.top.dump());
    FakeContext ctx;
    const Error error = test::error_of([&] { run(ctx); });
    EXPECT_EQ(error.what(), (layout / "index.json").string() + ": the digest is no sha256 of 64 hexadecimal digits");
  }
}

TEST_F(ImportOci, JsonIsBoundedAndUnambiguous) {
  const auto told = [&](const std::string& text) {
    OciFiles::write(layout / "index.json", text);
    FakeContext ctx;
    return std::string(test::error_of([&] { run(ctx); }).what());
  };
  const std::string file = (layout / "index.json").string();
  EXPECT_EQ(told("{"), file + " is no JSON");
  EXPECT_EQ(told("[]"), file + " has no \"manifests\"");
  EXPECT_EQ(told(R"({"manifests":[],"manifests":[]})"), file + " has a name twice in one object");
  EXPECT_EQ(told(R"({"manifests":{}})"), file + ": \"manifests\" is no list");
  EXPECT_EQ(told(R"({"manifests":[]})"), layout.string() + " holds no image");
  EXPECT_EQ(told(R"({"manifests":[7]})"), file + " has no \"digest\"");
  EXPECT_EQ(told(std::string(100'000, '[')), file + " is nested too deeply");
  EXPECT_EQ(told(std::string((4 << 20) + 1, ' ')), file + " has more than 4.0 MiB");
}

TEST_F(ImportOci, WhatIsNoImageOfKilnIsTold) {
  EXPECT_THAT(said([](OciFiles& f) { f.manifest["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"; }),
              HasSubstr("holds a container's image, no disk"));
  EXPECT_THAT(said([](OciFiles& f) { f.top["manifests"][0]["mediaType"] = "text/\x1b[2J"; }),
              HasSubstr("no image manifest but text/\\x1b[2J"));
}

TEST_F(ImportOci, TheManifestFitsTogether) {
  const std::string where = "the image's manifest";
  EXPECT_EQ(said([](OciFiles& f) { f.top["manifests"].push_back(f.top["manifests"][0]); }),
            layout.string() + " holds 2 images");
  FakeContext ctx;
  EXPECT_THAT(test::error_of([&] { run(ctx, "web:1"); }).what(), HasSubstr("has the tag web:1 twice"));
  fs::remove_all(layout);
  add(disk, {"web", "2", "", 0, {}});
  EXPECT_EQ(said([](OciFiles& f) { f.manifest["layers"].push_back(f.manifest["layers"][1]); }),
            where + " has a layer twice");
  fs::remove_all(layout);
  add(disk, {"web", "3", "", 0, {}});
  EXPECT_EQ(said([](OciFiles& f) { f.manifest["layers"][0]["mediaType"] = "text/plain"; }),
            where + " has no index of chunks");
  fs::remove_all(layout);
  add(disk, {"web", "4", "", 0, {}});
  EXPECT_EQ(said([](OciFiles& f) { f.manifest["config"].erase("mediaType"); }), where + " has no \"mediaType\"");
}

TEST_F(ImportOci, LayersOfOtherTypesArePassedOver) {
  OciFiles files(layout);
  json other{{"mediaType", "text/plain"}};
  files.put(other, "hello");
  files.manifest["layers"].push_back(other);
  files.store();
  FakeContext ctx;
  run(ctx);
  EXPECT_TRUE(test::same_content(*ctx.produced, disk));
}

TEST_F(ImportOci, TheIndexFitsTheBlobs) {
  const std::string damaged = "the disk's index is damaged: ";
  int version = 1;
  const auto with = [&](std::size_t at, char value) {
    const std::string text = said([&](OciFiles& f) { f.chunks[at] = value; }, true);
    fs::remove_all(layout);
    add(disk, {"web", std::to_string(++version), "", 0, {}});
    return text;
  };
  const std::size_t first = 64, second = 64 + 56;
  EXPECT_EQ(with(0, 'X'), damaged + "bytes 0..7 are not its mark");
  EXPECT_EQ(with(15, '\x7f'), damaged + "bytes 8..15: a disk has no such size");
  EXPECT_THAT(with(16, 1), StartsWith(damaged + "bytes 16..23: "));
  EXPECT_THAT(with(24, 1), StartsWith(damaged + "bytes 24..31"));
  EXPECT_THAT(with(28, 9), StartsWith(damaged + "bytes 24..31"));
  EXPECT_EQ(with(second, 0), damaged + "entries out of order");
  EXPECT_EQ(with(first + 7, 1), damaged + "a chunk past the disk's end");
  EXPECT_EQ(with(second + 40, 1), damaged + "a chunk is not where the one before it ends");
  EXPECT_EQ(with(second + 44, 1), damaged + "a chunk is not where the one before it ends");
  EXPECT_EQ(with(second + 46, 0), damaged + "a chunk is not where the one before it ends");  // it overlaps
  EXPECT_EQ(with(first + 52, 2), damaged + "a chunk is stored in no known way");
  EXPECT_EQ(with(first + 51, 1), damaged + "a chunk is stored in no known way");
}

TEST_F(ImportOci, TheTotalsAreRight) {
  EXPECT_EQ(said([](OciFiles& f) { f.chunks.resize(f.chunks.size() - 56), --f.chunks[16]; }, true),
            "the disk's index is damaged: the blobs have bytes that belong to no chunk");
}

TEST_F(ImportOci, ALargerDiskThanTheOneNamedIsNoticed) {
  EXPECT_EQ(said([](OciFiles& f) { f.chunks[11] = 1; }, true),
            "the image's index is of another disk than its configuration and its manifest");
}

TEST_F(ImportOci, ContentThatIsNotWhatTheIndexSaysIsNoticed) {
  EXPECT_EQ(said([](OciFiles& f) { f.chunks[32] ^= 1; }),
            "the disk's index is damaged: the content digest is not that of the entries");
}

TEST_F(ImportOci, AChunkWithAnotherDigestIsNoticed) {
  EXPECT_THAT(said([](OciFiles& f) { f.chunks[64 + 8] ^= 1; }, true), HasSubstr("is damaged: its sha256 is another"));
}

TEST_F(ImportOci, AChunkDoesNotGoOnAfterTheDisksEnd) {
  EXPECT_THAT(said(
                  [](OciFiles& f) {
                    f.chunks[8] = 1, f.chunks[9] = 0;  // ends after 1 byte of the last chunk
                    f.config["kiln"]["virtual_size"] = 9 * MiB / 4 + 1;
                    f.manifest["annotations"]["vnd.kiln.disk.size"] = std::to_string(9 * MiB / 4 + 1);
                  },
                  true),
              HasSubstr("it goes on after the disk's end"));
}

TEST_F(ImportOci, FactsOfStrangersAreClaims) {
  OciFiles files(layout);
  files.config["kiln"]["facts"] = {{"parent", "0123"},
                                   {"key", "abc"},
                                   {"image.id", "x"},
                                   {"checksum.sha256", "feed"},
                                   {"os.hostname", "\x1b[2Jevil"},
                                   {"source.kind", "bootstrap"}};
  files.store();
  FakeContext ctx;
  run(ctx);
  EXPECT_EQ(ctx.known_facts.at("os.hostname"), "\\x1b[2Jevil");
  EXPECT_EQ(ctx.known_facts.at("origin.checksum.sha256"), "feed");
  EXPECT_EQ(ctx.known_facts.at("origin.kind"), "bootstrap");
  EXPECT_EQ(ctx.known_facts.at("source.kind"), "import");
  for (const char* local : {"parent", "key", "image.id", "checksum.sha256"})
    EXPECT_FALSE(ctx.known_facts.contains(local)) << local;
  EXPECT_THAT(said([](OciFiles& f) { f.config["kiln"]["facts"] = {{"a b", "c"}}; }), HasSubstr("cannot be read"));
  EXPECT_THAT(said([](OciFiles& f) {
                for (int i = 0; i < 300; ++i) f.config["kiln"]["facts"]["os." + std::to_string(i)] = "x";
              }),
              HasSubstr("has no facts that can be read"));
}

}  // namespace
}  // namespace kiln

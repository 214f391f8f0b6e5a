#include "engine/registry.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <kiln/file.h>
#include <kiln/plugin.h>

#include "support/temp.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

const fs::path built = fs::path(KILN_BINARY_DIR) / "lib/kiln/plugins";
const fs::path test_only = fs::path(KILN_BINARY_DIR) / "tests/plugins";

template <class F>
Error error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  return Error("no error");
}

TEST(Registry, FindsPluginsByTheirFileNames) {
  const Registry registry({built, test_only, "/nowhere"});
  EXPECT_EQ(registry.stage("t-source").about().name, "t-source");
  EXPECT_EQ(registry.get("raw").about().name, "raw");
  const auto names = registry.stage_names();
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_NE(std::ranges::find(names, "publish"), names.end());
}

TEST(Registry, SuggestsTheNearestName) {
  const Registry registry({built, test_only});
  const Error e = error_of([&] { registry.stage("pubilsh"); });
  EXPECT_STREQ(e.what(), "there is no stage \"pubilsh\"");
  EXPECT_EQ(e.hint(), "did you mean \"publish\"?");
  EXPECT_EQ(e.failure(), Failure::invalid);
  EXPECT_STREQ(error_of([&] { registry.get("rwa"); }).what(), "there is no format \"rwa\"");
}

TEST(Registry, RefusesAPluginOfAnotherAbiWithBothValues) {
  const fs::path old = test_only / "kiln-stage-t-old.so";
  const Error e = error_of([&] { load_plugin(old); });
  EXPECT_EQ(e.what(), "plugin " + old.string() + " has ABI 99, this kiln has " + std::to_string(abi));
  EXPECT_EQ(e.hint(), "build it again against this kiln, or remove the file");
  const fs::path foreign = test_only / "kiln-stage-t-foreign.so";
  EXPECT_EQ(error_of([&] { load_plugin(foreign); }).what(),
            "plugin " + foreign.string() + " was built with libc++15, this kiln with " + std::string(toolchain));
}

TEST(Registry, NamesTheFileThatIsBroken) {
  const test::TempDir dir;
  write_text(dir / "kiln-stage-junk.so", "this is no library");
  const Registry registry({dir.path()});
  const Error e = error_of([&] { registry.stage("junk"); });
  EXPECT_EQ(e.what(), "cannot load plugin " + (dir / "kiln-stage-junk.so").string());
  ASSERT_EQ(e.evidence().size(), 1U);
  EXPECT_NE(e.evidence()[0].find("file too short"), std::string::npos) << e.evidence()[0];
  ASSERT_EQ(registry.all().size(), 1U);
  EXPECT_TRUE(registry.all()[0].error);
}

TEST(Registry, WantsTheSameNameInsideAndOutside) {
  const fs::path file = test_only / "kiln-stage-t-renamed.so";
  EXPECT_EQ(error_of([&] { load_plugin(file); }).what(), "plugin " + file.string() + " calls itself \"original\"");
  const test::TempDir dir;
  fs::copy_file(built / "kiln-format-raw.so", dir / "kiln-stage-raw.so");
  EXPECT_EQ(error_of([&] { load_plugin(dir / "kiln-stage-raw.so"); }).what(),
            "plugin " + (dir / "kiln-stage-raw.so").string() + " holds no stage");
  EXPECT_EQ(error_of([&] { load_plugin(dir / "x.so"); }).what(),
            (dir / "x.so").string() + " is not named like a plugin");
}

TEST(Registry, TheEarlierFolderWins) {
  const test::TempDir dir;
  write_text(dir / "kiln-format-raw.so", "broken on purpose");
  EXPECT_THROW(Registry({dir.path(), built}).get("raw"), Error);
  EXPECT_NO_THROW(Registry({built, dir.path()}).get("raw"));
}

TEST(Registry, ABrokenPluginIsInTheWayOnlyWhereItMightBeNeeded) {
  const test::TempDir dir;
  fs::create_directory(dir / "broken");
  write_text(dir / "broken/kiln-format-junk.so", "no library");
  const Registry registry({built, dir / "broken"});
  write_text(dir / "y.img", std::string("QFI\xfb\0\0\0\3", 8) + std::string(2000, '\0'));
  EXPECT_EQ(registry.detect(dir / "y.img").about().name, "qcow2");
  EXPECT_EQ(format_for(registry, "x.vpc").about().name, "vhd");
  write_text(dir / "x.img", std::string(1024, 'x'));
  EXPECT_TRUE(std::string(error_of([&] { registry.detect(dir / "x.img"); }).what()).starts_with("cannot load plugin "));
}

TEST(Registry, DetectsByContentAndNeverGuesses) {
  const test::TempDir dir;
  write_text(dir / "x.qcow2", std::string(1080, '\0') + "\x53\xEF" + std::string(100, '\0'));
  EXPECT_EQ(Registry({built}).detect(dir / "x.qcow2").about().name, "raw");  // an ext4, whatever the name says
  write_text(dir / "x.raw", std::string(1024, 'x'));
  const Error unknown = error_of([&] { Registry({built}).detect(dir / "x.raw"); });
  EXPECT_EQ(unknown.what(), (dir / "x.raw").string() + " is no disk that kiln recognises");
  EXPECT_EQ(unknown.code(), code::unknown_format);
  write_text(dir / "y.img", std::string("QFI\xfb\0\0\0\3", 8) + std::string(2000, '\0'));
  EXPECT_EQ(Registry({built}).detect(dir / "y.img").about().name, "qcow2");
  const Error e = error_of([&] { Registry({built, test_only / "twin"}).detect(dir / "y.img"); });
  EXPECT_EQ(e.what(), (dir / "y.img").string() + " could be more than one format: qcow2, t-twin");
  EXPECT_EQ(e.failure(), Failure::refused);
  EXPECT_EQ(e.hint(), "say which it is with format = \"qcow2\"");
  EXPECT_EQ(
      error_of([&] { Registry({dir.path()}).detect(dir / "y.img"); }).what(),
      (dir / "y.img").string() + " is a QCOW disk (version 1) or a damaged qcow2 one, which no installed format reads");
  EXPECT_EQ(error_of([&] { Registry({dir.path()}).detect(dir / "x.qcow2"); }).what(),
            (dir / "x.qcow2").string() + " is in no format that is installed");
}

TEST(Registry, TakesNoStrangersContainerForARawDisk) {
  const test::TempDir dir;
  const std::pair<std::string, std::string> files[] = {{"\x1f\x8b\x08", "a gzip archive"},
                                                       {"LUKS\xba\xbe", "a disk encrypted with LUKS"},
                                                       {std::string(257, '\0') + "ustar", "a tar archive"}};
  for (const auto& [head, name] : files) {
    write_text(dir / "x", head + std::string(4096, '\0'));
    const Error e = error_of([&] { Registry({built}).detect(dir / "x"); });
    EXPECT_TRUE(std::string(e.what()).starts_with((dir / "x").string() + " is " + name)) << e.what();
    EXPECT_EQ(e.failure(), Failure::invalid);
    EXPECT_NO_THROW(Registry({built}).get("raw").open(dir / "x"));  // whoever forces the format is believed
  }
}

TEST(PluginFolders, ComeInTheirOrder) {
  ::setenv("KILN_PLUGIN_PATH", "/a::/b", 1);
  ::setenv("XDG_DATA_HOME", "/data", 1);
  const auto folders = plugin_folders({"/given"}, "/usr/bin/kiln");
  ::unsetenv("KILN_PLUGIN_PATH");
  ::unsetenv("XDG_DATA_HOME");
  ASSERT_GE(folders.size(), 5U);
  EXPECT_EQ((std::vector<fs::path>(folders.begin(), folders.begin() + 5)),
            (std::vector<fs::path>{"/given", "/a", "/b", "/data/kiln/plugins", "/usr/lib/kiln/plugins"}));
}

}  // namespace
}  // namespace kiln::engine

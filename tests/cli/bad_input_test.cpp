// What a user or a stranger can get wrong: one clear error each, the exit code as designed, and nothing left behind.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "support/disks.h"
#include "support/full_disk.h"
#include "support/run.h"

namespace kiln::test {
namespace {

using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class BadInput : public testing::Test {
 protected:
  BadInput() { kiln.raw_disk("disk.raw"); }
  /// A pipeline import → publish with `import` in the first stage's table.
  void pipeline(const std::string& import) {
    kiln.write("web.toml",
               "[[stage]]\nuse = \"import\"\n" + import + "\n[[stage]]\nuse = \"publish\"\nimage = \"web\"\n");
  }
  Answer refuse(const std::vector<std::string>& words, int status) {
    Answer answer = kiln(words);
    EXPECT_EQ(answer.status, status) << answer.out << answer.err;
    EXPECT_THAT(answer.err, ContainsRegex("error: "));
    EXPECT_EQ(answer.out, "");
    // The same as JSON says the same.
    std::vector<std::string> as_json = words;
    as_json.push_back("--json");
    const Answer machine = kiln(as_json);
    EXPECT_EQ(machine.status, status);
    const auto last = machine.out.rfind('\n', machine.out.size() - 2);
    const auto line = machine.out.substr(last == std::string::npos ? 0 : last + 1);
    EXPECT_EQ(nlohmann::json::parse(line)["error"]["exit"], status) << machine.out;
    expect_nothing_made();
    return answer;
  }
  void expect_nothing_made() {
    const Answer images = kiln({"image", "list", "--json"});
    EXPECT_EQ(nlohmann::json::parse(images.out)["images"].size(), 0U);
    for (const std::string& name : files_below(kiln.home() / "layers")) EXPECT_EQ(name, ".lock");
  }
  Program kiln;
};

TEST_F(BadInput, AForeignDiskWhereTheHostAllowsNoSandbox) {
  qemu_from_raw(kiln / "disk.raw", kiln / "disk.qed", "qed");
  EXPECT_EQ(kiln({"convert", "disk.qed", "disk.qcow2"}).status, 0);
  std::filesystem::create_directory(kiln / "bin");
  kiln.write("bin/bwrap", "#!/bin/sh\necho bwrap: no namespaces here >&2\nexit 1\n");
  std::filesystem::permissions(kiln / "bin/bwrap", std::filesystem::perms::owner_all);
  kiln.environment["PATH"] = (kiln / "bin").string() + ":/usr/bin:/bin";
  const Answer answer = refuse({"convert", "disk.qed", "more.qcow2"}, 3);
  EXPECT_THAT(answer.err, HasSubstr("there is no sandbox: this host does not allow it"));
  EXPECT_THAT(answer.err, HasSubstr("no namespaces here"));
  EXPECT_THAT(answer.err, HasSubstr("--no-sandbox"));
  EXPECT_EQ(kiln({"--no-sandbox", "convert", "disk.qed", "more.qcow2"}).status, 0);
  EXPECT_TRUE(same_files(kiln / "disk.qcow2", kiln / "more.qcow2"));
}

TEST_F(BadInput, UnknownKey) {
  pipeline("fiel = \"disk.raw\"\n");
  const Answer answer = refuse({"build", "web.toml"}, 2);
  EXPECT_THAT(answer.err, HasSubstr("web.toml:3:1: error: stage 1 \"import\": unknown parameter \"fiel\"\n"
                                    "    3 | fiel = \"disk.raw\"\n"
                                    "      | ^^^^\n"
                                    "help: did you mean \"file\"?\n"));
  EXPECT_THAT(answer.err, EndsWith("nothing was run\n"));
}

TEST_F(BadInput, UnknownStage) {
  kiln.write("web.toml", "[[stage]]\nuse = \"imprt\"\nfile = \"disk.raw\"\n");
  const Answer answer = refuse({"check", "web.toml"}, 2);
  EXPECT_THAT(answer.err, HasSubstr("imprt"));
  EXPECT_THAT(answer.err, HasSubstr("help: did you mean \"import\"?"));
}

TEST_F(BadInput, UnknownFormat) {
  const Answer answer = refuse({"convert", "disk.raw", "out.img", "--to", "qcow3"}, 2);
  EXPECT_THAT(answer.err, HasSubstr("qcow3"));
  EXPECT_THAT(answer.err, HasSubstr("help: did you mean \"qcow2\"?"));
  const Answer unnamed = refuse({"convert", "disk.raw", "out.xyz"}, 2);
  EXPECT_THAT(unnamed.err,
              StartsWith("error: the name \"out.xyz\" does not tell which format to write\nhelp: name the format"));
}

TEST_F(BadInput, UnknownOptionOfAFormat) {
  const Answer answer = refuse({"convert", "disk.raw", "out.qcow2", "-o", "compresion=zstd"}, 2);
  EXPECT_THAT(answer.err, HasSubstr("compresion"));
  EXPECT_THAT(answer.err, HasSubstr("help: did you mean \"compression\"?"));
  EXPECT_FALSE(std::filesystem::exists(kiln / "out.qcow2"));
}

TEST_F(BadInput, WrongType) {
  pipeline("file = true\n");
  const Answer answer = refuse({"build", "web.toml"}, 2);
  EXPECT_THAT(answer.err, HasSubstr("web.toml:3:8: error: stage 1 \"import\": \"file\" takes a path, not a boolean"));
}

TEST_F(BadInput, SeveralProblemsAtOnce) {
  pipeline("file = true\nbogus = 1\n");
  EXPECT_THAT(refuse({"check", "web.toml"}, 2).err, EndsWith("2 problems; nothing was run\n"));
}

TEST_F(BadInput, UnsetVariable) {
  pipeline("file = \"${disk}\"\n");
  const Answer answer = refuse({"build", "web.toml"}, 2);
  EXPECT_THAT(answer.err, EndsWith("1 problem; nothing was run\n"));
  EXPECT_THAT(answer.err, HasSubstr("web.toml:3:"));
  EXPECT_THAT(answer.err, HasSubstr("disk"));
}

TEST_F(BadInput, MissingFile) {
  pipeline("file = \"nowhere.raw\"\n");
  EXPECT_THAT(refuse({"build", "web.toml"}, 2).err, HasSubstr("nowhere.raw"));
  const Answer inspected = refuse({"inspect", "nowhere.raw"}, 1);
  EXPECT_THAT(inspected.err, HasSubstr("nowhere.raw: No such file or directory"));
  EXPECT_THAT(refuse({"check", "nowhere.toml"}, 2).err, HasSubstr("nowhere.toml"));
}

TEST_F(BadInput, UnknownPipeline) {
  EXPECT_EQ(refuse({"check", "debain"}, 2).err,
            "error: there is no pipeline \"debain\"\nhelp: did you mean \"debian\"?\n");
}

TEST_F(BadInput, WrongDigest) {
  const std::string digest(64, '0');
  const Answer answer = refuse({"import", "disk.raw", "--name", "web", "--sha256", digest}, 3);
  EXPECT_THAT(
      answer.err,
      HasSubstr("stage 1 \"import\": disk.raw does not have the expected sha256 [HashMismatch]\n     | expected 0000"));
  EXPECT_THAT(answer.err, HasSubstr("help: "));
}

TEST_F(BadInput, TruncatedImage) {
  qemu_from_raw(kiln / "disk.raw", kiln / "disk.qcow2", "qcow2");
  cut_file(kiln / "disk.qcow2", std::filesystem::file_size(kiln / "disk.qcow2") - 70000);
  EXPECT_THAT(refuse({"import", "disk.qcow2", "--name", "web"}, 1).err, HasSubstr("truncated"));
  EXPECT_THAT(refuse({"convert", "disk.qcow2", "out.raw"}, 1).err, HasSubstr("truncated"));
  EXPECT_FALSE(std::filesystem::exists(kiln / "out.raw"));
}

TEST_F(BadInput, BackingFileOfThisHost) {
  kiln.write("secret", std::string(65536, 's'));
  qemu_img({"create", "-q", "-f", "qcow2", "-F", "raw", "-b", kiln / "secret", kiln / "evil.qcow2"});
  const Answer answer = refuse({"import", "evil.qcow2", "--name", "web"}, 3);
  EXPECT_THAT(answer.err, HasSubstr("refers to another file of this host"));
  EXPECT_THAT(answer.err, HasSubstr("     | qcow2 header, bytes 8..15: backing file name"));
  EXPECT_THAT(answer.err, HasSubstr("help: an imported disk must be complete in itself"));
  refuse({"convert", "evil.qcow2", "out.raw"}, 3);
  refuse({"inspect", "evil.qcow2", "--digest"}, 3);
}

TEST_F(BadInput, ExternalDataFile) {
  qemu_img(
      {"create", "-q", "-f", "qcow2", "-o", "data_file=" + (kiln / "data.raw").string(), kiln / "evil.qcow2", "1M"});
  EXPECT_THAT(refuse({"import", "evil.qcow2", "--name", "web"}, 3).err, HasSubstr("data file"));
}

TEST_F(BadInput, SizeThatOverflows) {
  qemu_from_raw(kiln / "disk.raw", kiln / "disk.qcow2", "qcow2");
  for (std::uint64_t i = 24; i < 32; ++i) flip_byte(kiln / "disk.qcow2", i);
  EXPECT_THAT(refuse({"import", "disk.qcow2", "--name", "web"}, 1).err, HasSubstr("a virtual size that overflows"));
  refuse({"launch", "web", "--memory", "99999999999T"}, 2);
}

TEST_F(BadInput, PluginOfAnotherAbi) {
  std::filesystem::create_directory(kiln / "plugins");
  kiln.write("old.c",
             "struct { unsigned abi; const char *toolchain; void *stage, *format; } entry = {4711, \"other\", 0, 0};\n"
             "void *kiln_plugin(void) { return &entry; }\n");
  ASSERT_EQ(run({"cc", "-shared", "-fPIC", "-o", kiln / "plugins/kiln-stage-old.so", kiln / "old.c"}).status, 0);
  const Answer answer = refuse({"plugin", "check", "plugins/kiln-stage-old.so"}, 1);
  EXPECT_THAT(answer.err, HasSubstr("4711"));
  EXPECT_THAT(answer.err, HasSubstr("help: "));
  kiln.write("web.toml", "[[stage]]\nuse = \"old\"\n");
  EXPECT_THAT(kiln({"check", "web.toml", "--plugin-dir", "plugins"}).err, HasSubstr("4711"));
  EXPECT_THAT(kiln({"plugin", "list", "--plugin-dir", "plugins"}).out, HasSubstr("cannot be loaded"));
}

TEST_F(BadInput, UnknownImageOrInstance) {
  EXPECT_THAT(refuse({"image", "show", "web"}, 2).err, HasSubstr("web"));
  EXPECT_THAT(refuse({"launch", "web"}, 2).err, HasSubstr("web"));
  EXPECT_THAT(refuse({"stop", "web"}, 2).err, HasSubstr("web"));
  EXPECT_THAT(refuse({"rm", "web"}, 2).err, HasSubstr("web"));
  EXPECT_THAT(refuse({"console", "web"}, 2).err, HasSubstr("web"));
}

TEST_F(BadInput, LaunchOptions) {
  EXPECT_EQ(refuse({"launch", "web", "--port", "80"}, 2).err,
            "error: --port takes HOST:GUEST, two ports from 1 to 65535, not \"80\"\nhelp: for example 2222:22, or "
            "auto:22 for any port of the host that is free\n");
  EXPECT_THAT(refuse({"launch", "web", "--port", "70000:22"}, 2).err, HasSubstr("70000"));
  EXPECT_THAT(refuse({"launch", "web", "--accel", "warp"}, 2).err, HasSubstr("warp"));
  kiln.write("id", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
  EXPECT_EQ(refuse({"launch", "web", "--ssh-key", "id"}, 3).err,
            "error: id is a private key\nhelp: give its public half: id.pub\n");
}

TEST_F(BadInput, FullDisk) {
  kiln.raw_disk("big.raw", 24);
  on_small_disk(1 << 20, [&](const std::filesystem::path& small) {
    const Answer converted = kiln({"convert", "big.raw", small / "out.qcow2"});
    EXPECT_EQ(converted.status, 1) << converted.err;
    EXPECT_THAT(converted.err, HasSubstr("No space left on device"));
    EXPECT_THAT(files_below(small), IsEmpty());
    kiln.environment["KILN_HOME"] = small / "home";
    const Answer imported = kiln({"import", "big.raw", "--name", "web"});
    EXPECT_EQ(imported.status, 1) << imported.err;
    EXPECT_THAT(imported.err, HasSubstr("No space left on device"));
    EXPECT_THAT(imported.err, HasSubstr("help: "));
    const Answer images = kiln({"image", "list", "--json"});
    const auto listed = nlohmann::json::parse(images.out)["images"];
    ASSERT_EQ(listed.size(), 1U) << images.out;
    EXPECT_EQ(listed[0]["state"], "failed");
    EXPECT_THAT(listed[0]["error"].get<std::string>(), HasSubstr("No space left on device"));
  });
}

TEST_F(BadInput, UnwritableOutput) {
  EXPECT_THAT(refuse({"convert", "disk.raw", "disk.raw/out.qcow2"}, 1).err, HasSubstr("Not a directory"));
}

TEST_F(BadInput, AnImageOfThatVersionIsThere) {
  ASSERT_EQ(kiln({"import", "disk.raw", "--name", "web", "--version", "1"}).status, 0);
  kiln.raw_disk("two.raw", 4, 2);
  const Answer answer = kiln({"import", "two.raw", "--name", "web", "--version", "1"});
  EXPECT_EQ(answer.status, 2) << answer.err;
  EXPECT_THAT(answer.err, HasSubstr("web:1"));
}

TEST_F(BadInput, NamesCannotDrawOnTheTerminal) {
  const Answer answer = refuse({"inspect", "\x1b[2Jgone.raw"}, 1);
  EXPECT_THAT(answer.err, HasSubstr("\\x1b[2Jgone.raw"));
}

}  // namespace
}  // namespace kiln::test

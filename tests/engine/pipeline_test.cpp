#include "engine/pipeline.h"

#include <kiln/plugin.h>

#include "engine/fixture.h"

namespace kiln::engine {
namespace {

class PipelineTest : public EngineTest {
 protected:
  /// What is wrong with a text, as it is printed, with the folder's name taken out.
  std::string problems(const std::string& text, const Settings& set = {}) {
    write_text(dir / "p.toml", text);
    std::string out = render(load_pipeline("p.toml", registry, set, dir.path()).problems);
    for (auto at = out.find(dir.path().string()); at != std::string::npos; at = out.find(dir.path().string()))
      out.replace(at, dir.path().string().size(), "DIR");
    return out;
  }
};

const std::string source = "[[stage]]\nuse = \"t-source\"\n";

struct Bad {
  const char* name;
  std::string text, expected;
};

const std::vector<Bad> bad_pipelines{
    {"unknown key", source + "[[stage]]\nuse = \"t-edit\"\nbyet = 1\n",
     "p.toml:5:1: error: stage 2 \"t-edit\": unknown parameter \"byet\"\n    5 | byet = 1\n      | ^^^^\n"
     "help: did you mean \"byte\"?\n1 problem; nothing was run\n"},
    {"unknown stage", "[[stage]]\nuse = \"t-sorce\"\n",
     "p.toml:2:7: error: stage 1 \"t-sorce\": there is no stage \"t-sorce\"\n    2 | use = \"t-sorce\"\n"
     "      |       ^^^^^^^^^\nhelp: did you mean \"t-source\"?\n1 problem; nothing was run\n"},
    {"wrong type", source + "[[stage]]\nuse = \"t-edit\"\ntimeout = true\n",
     "p.toml:5:11: error: stage 2 \"t-edit\": \"timeout\" takes a duration such as \"90s\", not a boolean\n"
     "    5 | timeout = true\n      |           ^^^^\n1 problem; nothing was run\n"},
    {"fraction", source + "[[stage]]\nuse = \"t-edit\"\nbyte = 1.5\n",
     "p.toml:5:8: error: \"byte\" is a fraction, which no parameter takes\n    5 | byte = 1.5\n      |        ^^^\n"
     "help: write it as a string, such as \"1.5G\"\n1 problem; nothing was run\n"},
    {"choice", source + "[[stage]]\nuse = \"t-edit\"\nmode = \"slow\"\n",
     "p.toml:5:8: error: stage 2 \"t-edit\": \"mode\" cannot be \"slow\"\n    5 | mode = \"slow\"\n"
     "      |        ^^^^^^\nhelp: choose one of \"fast\", \"small\"\n1 problem; nothing was run\n"},
    {"size that overflows", source + "size = \"99999999999G\"\n",
     "p.toml:3:8: error: stage 1 \"t-source\": \"size\" takes a size such as \"20G\", not \"99999999999G\"\n"
     "    3 | size = \"99999999999G\"\n      |        ^^^^^^^^^^^^^^\n1 problem; nothing was run\n"},
    {"missing in a record", source + "[[stage]]\nuse = \"t-edit\"\nfiles = [{ content = \"x\" }]\n",
     "p.toml:5:10: error: stage 2 \"t-edit\": missing required parameter \"files[0].path\"\n"
     "    5 | files = [{ content = \"x\" }]\n      |          ^^^^^^^^^^^^^^^^^\nhelp: Where.\n1 problem; nothing was "
     "run\n"},
    {"missing file", source + "[[stage]]\nuse = \"t-edit\"\nupload = \"no/such\"\n",
     "p.toml:5:10: error: stage 2 \"t-edit\": \"upload\": there is no file DIR/no/such\n    5 | upload = \"no/such\"\n"
     "      |          ^^^^^^^^^\n1 problem; nothing was run\n"},
    {"the stage's own check", source + "[[stage]]\nuse = \"t-edit\"\nat = -1\n",
     "p.toml:5:6: error: stage 2 \"t-edit\": \"at\" cannot be negative\n    5 | at = -1\n      |      ^^\n"
     "help: count from 0\n1 problem; nothing was run\n"},
    {"no source", "[[stage]]\nuse = \"t-edit\"\n",
     "p.toml:2:7: error: stage 1 \"t-edit\": the first stage must make a disk\n    2 | use = \"t-edit\"\n"
     "      |       ^^^^^^^^\nhelp: put a source before it: "},
    {"second source", source + source,
     "p.toml:4:7: error: stage 2 \"t-source\": a source can only be the first stage\n    4 | use = \"t-source\"\n"
     "      |       ^^^^^^^^^^\nhelp: a pipeline makes one disk; write a second pipeline for another\n"
     "1 problem; nothing was run\n"},
    {"no use", source + "[[stage]]\nbyte = 1\n",
     "p.toml:3:1: error: stage 2 does not say which it is\n    3 | [[stage]]\n      | ^^^^^^^^^\n"
     "help: add use = \"NAME\"\n1 problem; nothing was run\n"},
    {"no stage", "[pipeline]\nname = \"x\"\n",
     "p.toml: error: the pipeline has no stage\nhelp: begin each stage with [[stage]]\n1 problem; nothing was run\n"},
    {"unknown table", "[pipelin]\nname = \"x\"\n" + source,
     "p.toml:1:2: error: unknown table \"pipelin\"\n    1 | [pipelin]\n      |  ^^^^^^^\n"
     "help: did you mean \"pipeline\"?\n1 problem; nothing was run\n"},
    {"not TOML", source + "size = \n",
     "p.toml:3:8: error: not valid TOML: Error while parsing key-value pair: expected value, saw '\\n'\n"},
    {"variable not set", "[vars]\ndisk = \"\"\n" + source + "text = \"${disk}\"\n",
     "p.toml:2:1: error: variable \"disk\" is not set\n    2 | disk = \"\"\n      | ^^^^\nhelp: --set disk=…\n"
     "1 problem; nothing was run\n"},
    {"no such variable", "[vars]\ndisk = \"a\"\n" + source + "text = \"x${dsik}\"\n",
     "p.toml:5:8: error: stage 1 \"t-source\": there is no variable \"dsik\"\n    5 | text = \"x${dsik}\"\n"
     "      |        ^^^^^^^^^^\nhelp: did you mean \"disk\"?\n1 problem; nothing was run\n"},
    {"open variable", source + "text = \"${x\"\n",
     "p.toml:3:8: error: stage 1 \"t-source\": \"${\" without \"}\"\n    3 | text = \"${x\"\n      |        ^^^^^\n"
     "help: write $${ for a ${ of the text's own\n1 problem; nothing was run\n"},
    {"plugin of the wrong ABI", source + "[[stage]]\nuse = \"t-old\"\n",
     "p.toml:4:7: error: stage 2 \"t-old\": plugin " + std::string(KILN_BINARY_DIR) +
         "/tests/plugins/kiln-stage-t-old.so has ABI 99, this kiln has " + std::to_string(abi) +
         "\n    4 | use = \"t-old\"\n"
         "      |       ^^^^^^^\nhelp: build it again against this kiln, or remove the file\n"
         "1 problem; nothing was run\n"},
};

TEST_F(PipelineTest, SaysWhatIsWrongAndWhere) {
  for (const Bad& bad : bad_pipelines)
    EXPECT_TRUE(problems(bad.text).starts_with(bad.expected)) << bad.name << ":\n" << problems(bad.text);
}

TEST_F(PipelineTest, ReportsAllProblemsInTheOrderOfTheFile) {
  const std::string out =
      problems(source + "[[stage]]\nuse = \"t-edit\"\nmode = 1\nbyet = 2\nwords = \"x\"\n[[stage]]\nuse = \"nope\"\n");
  EXPECT_LT(out.find(":5:"), out.find(":6:"));
  EXPECT_LT(out.find(":6:"), out.find(":7:"));
  EXPECT_LT(out.find(":7:"), out.find(":9:"));
  EXPECT_TRUE(out.ends_with("4 problems; nothing was run\n")) << out;
}

TEST_F(PipelineTest, ReportsAFileThatIsNotThere) {
  const Loaded loaded = load_pipeline("nothing.toml", registry, {}, dir.path());
  ASSERT_EQ(loaded.problems.size(), 1U);
  EXPECT_EQ(loaded.problems[0].what, "there is no pipeline file nothing.toml");
}

TEST_F(PipelineTest, SubstitutesVariables) {
  write_text(dir / "p.toml", "[vars]\na = \"x\"\nn = 3\nout = \"\"\n" + source +
                                 "text = \"<${a}${n}> $${a} $5\"\nreads = \"${out}\"\nsize = \"${n}K\"\n"
                                 "[[stage]]\nuse = \"t-edit\"\nbyte = \"${n}\"\nwords = [\"${a}\", \"b\"]\n");
  const Loaded loaded = load_pipeline(dir / "p.toml", registry, {{"a", "y"}, {"out", "rel/file"}}, "/somewhere");
  ASSERT_TRUE(loaded.ok()) << render(loaded.problems);
  const Table& p = loaded.pipeline.steps[0].params;
  EXPECT_EQ(std::get<std::string>(p.at("text").v), "<y3> ${a} $5");
  EXPECT_EQ(std::get<Bytes>(p.at("size").v).count, 3072U);
  // Given on the command line, so it is relative to where the person stands.
  EXPECT_EQ(std::get<std::filesystem::path>(p.at("reads").v), "/somewhere/rel/file");
  EXPECT_EQ(std::get<std::int64_t>(loaded.pipeline.steps[1].params.at("byte").v), 3);
  EXPECT_EQ(canonical(loaded.pipeline.steps[1].params.at("words")), "[\"y\",\"b\"]");
}

TEST_F(PipelineTest, PathsAreRelativeToTheFile) {
  std::filesystem::create_directory(dir / "sub");
  write_text(dir / "sub" / "p.toml", "[vars]\nd = \"x\"\n" + source + "reads = \"../${d}/r\"\n");
  const Loaded loaded = load_pipeline("sub/p.toml", registry, {{"d", "y"}}, dir.path());
  ASSERT_TRUE(loaded.ok()) << render(loaded.problems);
  EXPECT_EQ(std::get<std::filesystem::path>(loaded.pipeline.steps[0].params.at("reads").v), dir / "y" / "r");
  EXPECT_EQ(loaded.pipeline.name, "p");
}

TEST_F(PipelineTest, TheStandardInputAndUrlsAreNoFilesOfAFolder) {
  for (const char* given : {"-", "https://host//a/../b", "nbd+unix:///?socket=/s"}) {
    write_text(dir / "p.toml", source + "reads = \"" + given + "\"\n");
    const Loaded loaded = load_pipeline(dir / "p.toml", registry, {}, dir.path());
    ASSERT_TRUE(loaded.ok()) << render(loaded.problems);
    EXPECT_EQ(std::get<std::filesystem::path>(loaded.pipeline.steps[0].params.at("reads").v).string(), given);
  }
  for (const auto& [given, meant] : {std::pair("./-", "-"), std::pair("a/b://c", "a/b:/c"), std::pair("://c", ":/c")}) {
    write_text(dir / "p.toml", source + "reads = \"" + given + "\"\n");
    const Loaded loaded = load_pipeline(dir / "p.toml", registry, {}, dir.path());
    EXPECT_EQ(std::get<std::filesystem::path>(loaded.pipeline.steps[0].params.at("reads").v), dir.path() / meant);
  }
}

TEST_F(PipelineTest, RefusesToSetWhatIsNoVariable) {
  EXPECT_EQ(problems("[vars]\ndisk = \"a\"\n" + source, {{"dks", "x"}}),
            "p.toml: error: there is no variable \"dks\" to set\nhelp: did you mean \"disk\"?\n"
            "1 problem; nothing was run\n");
}

TEST_F(PipelineTest, IsMadeInMemoryByTheSameRules) {
  const Loaded good =
      make_pipeline("import", {{"t-source", {{"size", Value{std::string("1M")}}, {"reads", Value{std::string("r")}}}}},
                    registry, "/cwd");
  ASSERT_TRUE(good.ok()) << render(good.problems);
  EXPECT_EQ(std::get<std::filesystem::path>(good.pipeline.steps[0].params.at("reads").v), "/cwd/r");
  const Loaded bad = make_pipeline("import", {{"t-source", {{"siez", Value{std::string("1M")}}}}}, registry, "/cwd");
  EXPECT_EQ(render(bad.problems),
            "error: stage 1 \"t-source\": unknown parameter \"siez\"\nhelp: did you mean \"size\"?\n"
            "1 problem; nothing was run\n");
}

}  // namespace
}  // namespace kiln::engine

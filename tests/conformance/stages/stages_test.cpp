// What every stage that is built has to keep, whoever wrote it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include <kiln/plugin.h>
#include <kiln/testing.h>

namespace kiln {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> built_stages() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(std::string(KILN_BINARY_DIR) + "/lib/kiln/plugins")) {
    const std::string name = entry.path().filename();
    static constexpr std::string_view prefix = "kiln-stage-";
    if (name.starts_with(prefix)) out.push_back(name.substr(prefix.size(), name.size() - prefix.size() - 3));
  }
  std::ranges::sort(out);
  return out;
}

const Entry& load(const std::string& name) {
  const std::string file = std::string(KILN_BINARY_DIR) + "/lib/kiln/plugins/kiln-stage-" + name + ".so";
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(::dlerror());
  return *reinterpret_cast<const Entry* (*)()>(::dlsym(library, "kiln_plugin"))();
}

class EveryStage : public ::testing::TestWithParam<std::string> {
 protected:
  const Entry& entry = load(GetParam());
  const Stage& stage = *entry.stage;
  const fs::path folder = fs::path(KILN_SOURCE_DIR) / "plugins" / GetParam();
};

TEST_P(EveryStage, SaysWhoItIs) {
  EXPECT_EQ(entry.abi, abi);
  EXPECT_STREQ(entry.toolchain, toolchain);
  EXPECT_EQ(entry.format, nullptr);
  const About& about = stage.about();
  EXPECT_EQ(about.name, GetParam());
  EXPECT_TRUE(std::regex_match(about.name, std::regex("[a-z][a-z0-9-]*")));
  EXPECT_GE(about.summary.size(), 10U);
  EXPECT_TRUE(about.summary.ends_with('.')) << about.summary;
  EXPECT_LE(about.summary.size(), 90U) << "it has to fit a line of a list";
  EXPECT_GE(about.revision, 1);
}

void expect_documented(const std::vector<Param>& params, const std::string& where) {
  std::set<std::string> names;
  for (const Param& param : params) {
    EXPECT_TRUE(names.insert(param.name).second) << where << param.name << " is declared twice";
    EXPECT_TRUE(std::regex_match(param.name, std::regex("[a-z][a-z0-9_]*"))) << where << param.name;
    EXPECT_NE(param.name, "use") << "the pipeline needs this word";
    EXPECT_GE(param.doc.size(), 5U) << where << param.name << " has no documentation";
    const auto* fallback = std::get_if<std::string>(&param.fallback.v);
    const bool is_choice = fallback == nullptr || param.choices.empty() || param.required || param.type.list ||
                           std::ranges::find(param.choices, *fallback) != param.choices.end();
    EXPECT_TRUE(is_choice) << where << param.name << ": the default is not a choice";
    expect_documented(param.type.fields, where + param.name + ".");
  }
}

TEST_P(EveryStage, DocumentsEveryParameter) {
  expect_documented(stage.about().params, "");
}

TEST_P(EveryStage, ChecksWithoutBreaking) {
  const fakes::FakeFormats formats;
  fakes::FakeCheck check(formats);
  // Required parameters are bound to what the struct has: check() has to bear it.
  EXPECT_NO_THROW(stage.check_with({}, check));
  for (const Problem& problem : check.problems) {
    EXPECT_FALSE(problem.what.empty());
    EXPECT_FALSE(problem.what.ends_with('.')) << problem.what;
  }
}

TEST_P(EveryStage, HasAStableFingerprint) {
  EXPECT_EQ(stage.fingerprint_with({}), stage.fingerprint_with({}));
}

TEST_P(EveryStage, HasAReadme) {
  const std::string text = read_text(folder / "README.md");
  EXPECT_TRUE(text.starts_with("# " + GetParam() + "\n"));
  EXPECT_NE(text.find("<!-- kiln:params -->"), std::string::npos);
  EXPECT_NE(text.find("<!-- /kiln:params -->"), std::string::npos);
  EXPECT_NE(text.find("```toml"), std::string::npos) << "an example is missing";
}

INSTANTIATE_TEST_SUITE_P(Built, EveryStage, ::testing::ValuesIn(built_stages()), [](const auto& stage) {
  std::string name = stage.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace kiln

#pragma once
// What tests of the program with machines have in common: a home whose instances are gone with the test.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/program.h"

namespace kiln::test {

class WithInstances : public testing::Test {
 protected:
  ~WithInstances() override {
    const nlohmann::json all = ask({"ps"});
    for (const nlohmann::json& one : all["instances"]) kiln({"rm", one["name"], "--force"});
    EXPECT_TRUE(kiln.processes_end());
  }
  /// What it says, when it ends as expected.
  std::string tell(const std::vector<std::string>& words, int status = 0) const {
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, status) << answer.out << answer.err;
    return answer.out + answer.err;
  }
  /// The same as JSON: the last line is the answer, those before tell what is being done.
  nlohmann::json ask(std::vector<std::string> words) const {
    words.insert(std::find(words.begin(), words.end(), "--"), "--json");
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    const std::size_t before = answer.out.rfind('\n', answer.out.size() - 2);
    return nlohmann::json::parse(answer.out.substr(before == std::string::npos ? 0 : before + 1));
  }
  std::filesystem::path file_of(const std::string& instance, const std::string& file) const {
    return kiln.home() / "instances" / instance / file;
  }
  Program kiln;
};

}  // namespace kiln::test

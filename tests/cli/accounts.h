#pragma once
// The real program used by several accounts of one catalog in a folder.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/program.h"

namespace kiln::test {

/// One catalog with the image "web:1", which alice has made.
class Accounts : public testing::Test {
 protected:
  Accounts() { publish("alice", "web", "1", 1); }

  void publish(const std::string& account, const std::string& name, const std::string& version, unsigned seed) {
    std::filesystem::remove(kiln / "disk.raw");
    kiln.raw_disk("disk.raw", 4, seed);
    ask(account, {"import", "disk.raw", "--name", name, "--version", version});
  }
  static std::vector<std::string> words_as(const std::string& account, std::vector<std::string> words) {
    if (!account.empty()) words.insert(words.end(), {"--as", account});
    return words;
  }
  /// Empty account: the catalog's own, its operator. Returns the last line of the answer as JSON.
  nlohmann::json ask(const std::string& account, std::vector<std::string> words, int status = 0) {
    words = words_as(account, std::move(words));
    words.push_back("--json");
    const Answer answer = kiln(words);
    EXPECT_EQ(answer.status, status) << answer.out << answer.err;
    EXPECT_EQ(answer.err, "");
    if (answer.out.empty()) return {};
    const auto last = answer.out.rfind('\n', answer.out.size() - 2);
    return nlohmann::json::parse(answer.out.substr(last == std::string::npos ? 0 : last + 1));
  }
  /// What standard output says.
  std::string tell(const std::string& account, const std::vector<std::string>& words) {
    const Answer answer = kiln(words_as(account, words));
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
    return answer.out;
  }
  /// What standard error says; the exit code is looked at.
  std::string refuse(const std::string& account, const std::vector<std::string>& words, int status) {
    const Answer answer = kiln(words_as(account, words));
    EXPECT_EQ(answer.status, status) << answer.out << answer.err;
    EXPECT_EQ(answer.out, "");
    return answer.err;
  }
  /// "owner/name:version" of each, in the order of the list.
  std::vector<std::string> images(const std::string& account, std::vector<std::string> filters = {}) {
    filters.insert(filters.begin(), {"image", "list"});
    std::vector<std::string> out;
    const nlohmann::json answer = ask(account, filters);
    for (const auto& image : answer["images"])
      out.push_back(image["owner"].get<std::string>() + "/" + image["name"].get<std::string>() + ":" +
                    image["version"].get<std::string>());
    return out;
  }
  Program kiln;
};

}  // namespace kiln::test

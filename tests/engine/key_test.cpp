#include "engine/key.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <thread>

#include <kiln/hash.h>

#include "engine/fixture.h"

namespace kiln::engine {
namespace {

class KeyTest : public EngineTest {
 protected:
  std::string key(const Table& params, const std::string& before = "b") {
    InputDigests inputs(dir / "files.json");
    return stage_key(before, registry.stage("t-edit"), params, inputs).hex;
  }
};

TEST_F(KeyTest, StaysTheSame) {
  // Pinned: another value here means that every layer of every user is built anew.
  EXPECT_EQ(key({}), "a5286fd600be1a77306039ba6675344be1895f749bf74936b3a56bea50d82f25");
  EXPECT_EQ(content_key(sha256("x")), to_hex(sha256("kiln-content\n" + to_hex(sha256("x")))));
}

TEST_F(KeyTest, DefaultsAreFilledIn) {
  EXPECT_EQ(key({}), key({{"mode", Value{std::string("fast")}}, {"timeout", Value{Duration(1000)}}}));
  EXPECT_NE(key({}), key({{"mode", Value{std::string("small")}}}));
  EXPECT_NE(key({}), key({}, "c"));
}

TEST_F(KeyTest, WhatASinkLeavesIsItsAccounts) {
  services.account = "alice";
  const std::string text = "[[stage]]\nuse = \"t-source\"\n[[stage]]\nuse = \"t-edit\"\n[[stage]]\nuse = \"t-look\"\n";
  run(text);
  EXPECT_EQ(endings(), "1 done, 2 done, 3 done");
  services.account = "bob";
  EXPECT_EQ(make_plan(load(text), services).stages.back().why, "account changed: \"alice\" → \"bob\"");
  run(text);
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 done");
  services.account = "alice";
  run(text);
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 cached");
}

TEST_F(KeyTest, ASecretsDigestIsOfThisHomeOnly) {
  const Table secret{{"password", Value{std::string("hunter2")}}};
  const std::string here = key(secret);
  EXPECT_EQ(key(secret), here);
  std::filesystem::remove(dir / "salt");
  EXPECT_NE(key(secret), here);
}

TEST_F(KeyTest, FilesCountByContentAndNotByName) {
  write_text(dir / "a", "same");
  write_text(dir / "b", "same");
  const auto of = [&](const char* name) { return key({{"upload", Value{InputPath{dir / name}}}}); };
  EXPECT_EQ(of("a"), of("b"));
  write_text(dir / "b", "other");
  EXPECT_NE(of("a"), of("b"));
  write_text(dir / "b", "same");
  EXPECT_EQ(of("a"), of("b"));
  ::chmod((dir / "b").c_str(), 0755);
  EXPECT_NE(of("a"), of("b"));
}

TEST_F(KeyTest, FoldersCountWithAllBelowThem) {
  namespace fs = std::filesystem;
  fs::create_directories(dir / "f" / "sub");
  write_text(dir / "f" / "sub" / "x", "1");
  const auto now = [&] { return key({{"upload", Value{InputPath{dir / "f"}}}}); };
  const std::string first = now();
  EXPECT_EQ(now(), first);
  write_text(dir / "f" / "sub" / "x", "2");
  EXPECT_NE(now(), first);
  write_text(dir / "f" / "sub" / "x", "1");
  EXPECT_EQ(now(), first);
  fs::rename(dir / "f" / "sub" / "x", dir / "f" / "sub" / "y");
  EXPECT_NE(now(), first);
}

TEST_F(KeyTest, AFileThatDidNotChangeIsNotReadAgain) {
  write_text(dir / "a", "first");
  timespec old[2] = {{1000, 0}, {1000, 0}};
  ::utimensat(AT_FDCWD, (dir / "a").c_str(), old, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(80));  // too young a file is not remembered
  InputDigests inputs(dir / "files.json");
  const std::string digest = inputs.digest(dir / "a");
  inputs.save();
  EXPECT_NE(read_text(dir / "files.json").find((dir / "a").string()), std::string::npos);
  EXPECT_EQ(InputDigests(dir / "files.json").digest(dir / "a"), digest);
  write_text(dir / "files.json", "{ damaged");
  EXPECT_EQ(InputDigests(dir / "files.json").digest(dir / "a"), digest);
}

TEST_F(KeyTest, SecretsEnterAsDigests) {
  InputDigests inputs(dir / "files.json");
  const Key k = stage_key("", registry.stage("t-edit"), {{"password", Value{std::string("hunter2")}}}, inputs);
  for (const KeyPart& part : k.parts) EXPECT_EQ(part.text.find("hunter2"), std::string::npos);
  EXPECT_NE(key({{"password", Value{std::string("a")}}}), key({{"password", Value{std::string("b")}}}));
}

TEST(FirstDifference, NamesOnlyTheFirst) {
  const std::vector<KeyPart> was{{"a", "1"}, {"b", "2"}, {"c", "3"}};
  EXPECT_EQ(first_difference(was, was), std::nullopt);
  EXPECT_EQ(first_difference(was, {{"a", "1"}, {"b", "9"}, {"c", "8"}}), "b changed: 2 → 9");
  EXPECT_EQ(first_difference(was, {{"a", "1"}, {"b", "2"}}), "c is gone: it was 3");
  EXPECT_EQ(first_difference(was, {{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}), "d is new: 4");
  EXPECT_EQ(first_difference({{"a", std::string(300, 'x')}}, {{"a", "1"}}),
            "a changed: " + std::string(57, 'x') + "… → 1");
}

}  // namespace
}  // namespace kiln::engine

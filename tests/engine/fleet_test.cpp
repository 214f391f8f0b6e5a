#include "engine/fleet.h"

#include <gmock/gmock.h>

#include <kiln/error.h>
#include <kiln/file.h>

#include "support/temp.h"

namespace kiln::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FleetFile : public testing::Test {
 protected:
  Fleet read(const std::string& text) const {
    write_text(dir_ / "f.toml", text);
    return read_fleet(dir_ / "f.toml");
  }
  /// The first mistake, its hint and the other mistakes, without the folder's name.
  std::string mistakes(const std::string& text) const {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::invalid);
      std::string all = error.what();
      all += "\n" + error.hint();
      for (const std::string& other : error.evidence()) all += "\n" + other;
      const std::string folder = dir_.path().string() + "/";
      for (auto at = all.find(folder); at != std::string::npos; at = all.find(folder)) all.erase(at, folder.size());
      return all;
    }
    return "no mistake";
  }
  test::TempDir dir_;
};

const std::string head = "[fleet]\nname = \"shop\"\n";

TEST_F(FleetFile, SaysWhatThereShallBe) {
  const Fleet fleet = read(head + R"(
[[instance]]
name = "web-#"
image = "web:stable"
count = 3
cpus = 2
memory = "1G"
disk_size = "8G"
disk_bus = "scsi"
nic = "e1000"
network = "user"
firmware = "uefi"
driver = "libvirt"
connect = "qemu:///system"
ports = ["auto:80", "2222:22"]
ssh_keys = ["deploy.pub", "/root/other.pub"]
user_data = "init.yaml"

[[instance]]
name = "db"
image = "db"
)");
  EXPECT_EQ(fleet.name, "shop");
  ASSERT_EQ(fleet.groups.size(), 2U);
  const FleetGroup& web = fleet.groups[0];
  EXPECT_EQ(web.line, 4U);
  EXPECT_THAT(
      (std::vector{web.name, web.image, web.memory, web.disk_size, web.disk_bus, web.nic, web.network, web.firmware,
                   web.driver, web.connect}),
      ElementsAre("web-#", "web:stable", "1G", "8G", "scsi", "e1000", "user", "uefi", "libvirt", "qemu:///system"));
  EXPECT_EQ(web.count, 3);
  EXPECT_EQ(web.cpus, 2);
  EXPECT_THAT(web.ports, ElementsAre("auto:80", "2222:22"));
  EXPECT_THAT(web.ssh_keys, ElementsAre(dir_ / "deploy.pub", "/root/other.pub"));
  EXPECT_EQ(web.user_data, dir_ / "init.yaml");
  const FleetGroup& db = fleet.groups[1];
  EXPECT_EQ(db.count, 1);
  EXPECT_EQ(db.cpus, 0);
  EXPECT_EQ(db.memory + db.driver + db.nic, "");
  EXPECT_EQ(db.user_data, std::nullopt);
}

TEST_F(FleetFile, MayHaveNoInstances) {
  EXPECT_TRUE(read(head).groups.empty());
  EXPECT_EQ(read(head + "[[instance]]\nname = \"a\"\nimage = \"a\"\ncount = 0\n").groups[0].count, 0);
}

TEST_F(FleetFile, EveryMistakeIsNamedWithItsPlace) {
  const std::string one = head + "[[instance]]\nname = \"web\"\nimage = \"web\"\n";
  const struct {
    std::string text, expected;
  } cases[] = {
      {one + "memroy = \"1G\"\n", "f.toml:6:1: unknown setting \"memroy\"\ndid you mean \"memory\"?"},
      {one + "whatever = 1\n", "f.toml:6:1: unknown setting \"whatever\"\nleave it out"},
      {one + "count = 501\n", "f.toml:6:9: \"count\" takes a number from 0 to 500\nwrite count = 1"},
      {one + "count = -1\n", "f.toml:6:9: \"count\" takes a number from 0 to 500\nwrite count = 1"},
      {one + "count = \"3\"\n", "f.toml:6:9: \"count\" takes a number from 0 to 500\nwrite count = 1"},
      {one + "cpus = 0\n", "f.toml:6:8: \"cpus\" takes a number from 1 to 255\nwrite cpus = 1"},
      {one + "memory = 1\n",
       "f.toml:6:10: \"memory\" takes a string that is not empty\nwrite memory = \"…\", or leave it out"},
      {one + "user_data = \"\"\n",
       "f.toml:6:13: \"user_data\" takes a string that is not empty\nwrite user_data = \"…\", or leave it out"},
      {one + "ports = \"80:80\"\n", "f.toml:6:9: \"ports\" takes a list of strings\nwrite ports = [\"…\"]"},
      {one + "ports = [80]\n",
       "f.toml:6:10: \"ports\" takes a string that is not empty\nwrite ports = \"…\", or leave it out"},
      {head + "[[instance]]\nimage = \"a\"\n", "f.toml:3:1: an [[instance]] has no \"name\"\nwrite name = \"…\""},
      {one + "[[instance]]\nname = \"web\"\nimage = \"x\"\n",
       "f.toml:6:1: two groups are called \"web\"\ngive each a name of its own"},
      {"[[instance]]\nname = \"a\"\nimage = \"a\"\n",
       "f.toml:1:1: the fleet has no name\nwrite [fleet] and name = \"…\""},
      {"[fleet]\nname = \"\"\n", "f.toml:1:1: [fleet] takes a name, and nothing else\nwrite name = \"…\" below it"},
      {head + "size = 3\n", "f.toml:1:1: [fleet] takes a name, and nothing else\nwrite name = \"…\" below it"},
      {"[fleet]\nname = \"a/b\"\n",
       "f.toml:2:8: a fleet's name has letters, digits, '-', '_' and '.'\nsuch as name = \"shop\""},
      {head + "[instance]\nname = \"a\"\n",
       "f.toml:3:2: a fleet's file has [fleet] and [[instance]], not \"instance\"\nwrite [[instance]] above what "
       "describes one"},
      {head + "[[instances]]\nname = \"a\"\n",
       "f.toml:3:3: a fleet's file has [fleet] and [[instance]], not \"instances\"\nwrite [[instance]] above what "
       "describes one"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(mistakes(text), expected) << text;
}

TEST_F(FleetFile, AllMistakesComeTogetherInTheOrderOfTheLines) {
  EXPECT_EQ(mistakes("[[instance]]\nname = \"a\"\ncount = 900\n[fleet]\n"),
            "f.toml:1:1: an [[instance]] has no \"image\"\nwrite image = \"…\"\n"
            "f.toml:3:9: \"count\" takes a number from 0 to 500\n"
            "f.toml:4:1: [fleet] takes a name, and nothing else");
}

TEST_F(FleetFile, WhatIsNoTomlIsSaid) {
  EXPECT_THAT(mistakes("[fleet\n"), HasSubstr("f.toml:1:7: not valid TOML: "));
  EXPECT_THROW(read_fleet(dir_ / "none.toml"), Error);
}

}  // namespace
}  // namespace kiln::engine

#include "machine/instance_names.h"

#include <gmock/gmock.h>

#include <set>

#include <kiln/error.h>

namespace kiln {
namespace {

using testing::ElementsAre;

std::vector<std::string> chosen(std::string_view pattern, std::size_t count, const std::set<std::string>& taken = {}) {
  return choose_names(pattern, "My.Image_", count, [&](const std::string& name) { return taken.contains(name); });
}

TEST(InstanceNames, BecomesAHostName) {
  for (const char* good : {"a", "web", "Web-2", "0", "a-b-c"}) EXPECT_TRUE(valid_instance_name(good)) << good;
  for (const char* bad : {"", "-a", "a-", "a.b", "a/b", "..", "a b", "ä", "a_b"})
    EXPECT_FALSE(valid_instance_name(bad)) << bad;
  EXPECT_TRUE(valid_instance_name(std::string(63, 'a')));
  EXPECT_FALSE(valid_instance_name(std::string(64, 'a')));
}

TEST(InstanceNames, ANameIsTakenAsItIs) {
  EXPECT_THAT(chosen("web", 1), ElementsAre("web"));
  EXPECT_THROW(chosen("web", 1, {"web"}), Error);
  EXPECT_THAT(chosen("web", 0), ElementsAre());
}

TEST(InstanceNames, WithoutOneTheImageGivesIt) {
  EXPECT_THAT(chosen("", 1), ElementsAre("My-Image"));
  EXPECT_THAT(chosen("", 1, {"My-Image", "My-Image-2"}), ElementsAre("My-Image-3"));
  EXPECT_THAT(chosen("", 2), ElementsAre("My-Image-1", "My-Image-2"));
}

TEST(InstanceNames, ThePatternSaysWhereTheNumberGoes) {
  EXPECT_THAT(chosen("web", 3), ElementsAre("web-1", "web-2", "web-3"));
  EXPECT_THAT(chosen("web-##-eu", 2), ElementsAre("web-01-eu", "web-02-eu"));
  EXPECT_THAT(chosen("w#", 3, {"w2"}), ElementsAre("w1", "w3", "w4")) << "what is taken is passed over";
  EXPECT_THAT(chosen("w#", 1), ElementsAre("w1"));
  EXPECT_EQ(chosen("w#", 500).back(), "w500");
}

TEST(InstanceNames, WhatMakesNoHostNameIsRefused) {
  for (const char* wrong : {"-a", "a-", "a_b", "a.b", "../x", "w#x#", "-#"})
    EXPECT_THROW(chosen(wrong, 1), Error) << wrong;
  EXPECT_THROW(chosen(std::string(62, 'a'), 2), Error);
}

}  // namespace
}  // namespace kiln

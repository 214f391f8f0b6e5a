// What a bucket does when the server is not well.

#include <gmock/gmock.h>

#include <chrono>
#include <string>

#include "s3/bucket.h"
#include "s3/moody_server.h"

namespace kiln::s3 {
namespace {

using test::MoodyServer;

std::string text_at(const MoodyServer& server, std::size_t limit = 100) {
  const Bucket bucket({.url = server.bucket(), .access_key = "a", .secret_key = "s"});
  const auto object = bucket.get("key", limit);
  return object ? std::string(reinterpret_cast<const char*>(object->data()), object->size()) : "(none)";
}

Error error_at(const MoodyServer& server) {
  try {
    text_at(server);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error("none");
}

TEST(Retry, WhatMayPassIsAskedAgain) {
  const std::string busy = MoodyServer::answer("503 Slow Down"), whole = MoodyServer::answer("200 OK", "hello");
  const MoodyServer server({busy, "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", whole});
  EXPECT_EQ(text_at(server), "hello");
  EXPECT_EQ(server.asked(), 4u);
}

TEST(Retry, EndsSomeTime) {
  const MoodyServer server(std::vector<std::string>(7, MoodyServer::answer("500 Internal Server Error")));
  const auto started = std::chrono::steady_clock::now();
  const Error error = error_at(server);
  EXPECT_STREQ(error.what(), ("the object store could not serve bucket " + server.bucket()).c_str());
  EXPECT_EQ(server.asked(), 6u);
  EXPECT_GT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));  // it waits longer each time
}

TEST(Retry, ARefusalIsFinal) {
  const MoodyServer server({MoodyServer::answer("403 Forbidden"), MoodyServer::answer("200 OK", "hello")});
  EXPECT_EQ(error_at(server).failure(), Failure::refused);
  EXPECT_EQ(server.asked(), 1u);
}

TEST(Retry, ARedirectionIsNotFollowed) {
  const MoodyServer other({MoodyServer::answer("200 OK", "stolen")});
  const MoodyServer server(
      {MoodyServer::answer("307 Temporary Redirect", "", "Location: " + other.bucket() + "/key\r\n")});
  EXPECT_THAT(error_at(server).what(), testing::HasSubstr("answers with a redirection"));
  EXPECT_EQ(other.asked(), 0u);
}

TEST(Retry, AnEndlessRefusalIsCut) {
  const MoodyServer server({MoodyServer::answer("403 Forbidden", std::string(1 << 20, 'x'))});
  EXPECT_THAT(error_at(server).what(), testing::HasSubstr("is longer than it may be"));
}

TEST(Retry, NobodyThereIsAnError) {
  const Bucket bucket({.url = "http://127.0.0.1:1/b", .access_key = "a", .secret_key = "s"});
  try {
    bucket.get("key", 100);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot reach http://127.0.0.1:1/b/key");
  }
}

}  // namespace
}  // namespace kiln::s3

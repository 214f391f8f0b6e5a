#include "s3/bucket.h"

#include <gmock/gmock.h>

#include <string>
#include <thread>

#include "support/rgw.h"

namespace kiln::s3 {
namespace {

using test::ObjectStore;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(const std::optional<std::vector<std::byte>>& object) {
  return object ? std::string(reinterpret_cast<const char*>(object->data()), object->size()) : "(none)";
}

template <class F>
Error error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error("none");
}

class BucketTest : public testing::Test {
 protected:
  static BucketPlace place(const std::string& url) {
    return {.url = url, .access_key = ObjectStore::access_key, .secret_key = ObjectStore::secret_key};
  }
  Bucket bucket{place(ObjectStore::shared().new_bucket())};
};

TEST_F(BucketTest, KeepsWhatIsPutIntoIt) {
  EXPECT_EQ(bucket.get("a/b", 100), std::nullopt);
  bucket.put("a/b", bytes("hello"));
  EXPECT_EQ(text_of(bucket.get("a/b", 100)), "hello");
  bucket.put("a/b", bytes(""));
  EXPECT_EQ(text_of(bucket.get("a/b", 100)), "");
  const std::string large(5 << 20, 'x');
  bucket.put("a/large", bytes(large));
  EXPECT_EQ(text_of(bucket.get("a/large", large.size())), large);
  bucket.remove("a/b");
  bucket.remove("a/b");
  EXPECT_EQ(bucket.get("a/b", 100), std::nullopt);
}

TEST_F(BucketTest, ANewObjectIsStoredOnce) {
  EXPECT_TRUE(bucket.put_new("once", bytes("first")));
  EXPECT_FALSE(bucket.put_new("once", bytes("second")));
  EXPECT_EQ(text_of(bucket.get("once", 100)), "first");
}

TEST_F(BucketTest, OfManyAtOnceOneStoresIt) {
  std::atomic<int> stored = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { stored += bucket.put_new("race", bytes("x")) ? 1 : 0; });
  }
  EXPECT_EQ(stored, 1);
}

TEST_F(BucketTest, ListsByPrefixAlsoMoreThanOnePage) {
  for (const char* key : {"a/1", "a/2", "b/1"}) bucket.put(key, bytes("x"));
  EXPECT_THAT(bucket.list("a/"), ElementsAre("a/1", "a/2"));
  EXPECT_THAT(bucket.list("c/"), ElementsAre());
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([this, t] {
        for (int i = 0; i < 300; ++i) bucket.put("many/" + std::to_string(t) + "-" + std::to_string(i), bytes("x"));
      });
  }
  EXPECT_EQ(bucket.list("many/").size(), 1200u);  // a page has 1000
}

TEST_F(BucketTest, AnAnswerThatIsTooLongIsRefused) {
  bucket.put("large", bytes(std::string(1000, 'x')));
  EXPECT_EQ(text_of(bucket.get("large", 1000)).size(), 1000u);
  EXPECT_THAT(error_of([&] { bucket.get("large", 999); }).what(), HasSubstr("is longer than it may be"));
}

TEST_F(BucketTest, AWrongSecretIsRefused) {
  for (const bool wrong_key : {false, true}) {
    BucketPlace other = place(bucket.url());
    (wrong_key ? other.access_key : other.secret_key) = "wrong";
    const Bucket stranger(other);
    for (const Error& error : {error_of([&] { stranger.get("a", 10); }), error_of([&] { stranger.list(""); }),
                               error_of([&] { stranger.put("a", bytes("x")); })}) {
      EXPECT_EQ(error.failure(), Failure::refused);
      EXPECT_EQ(error.what(), "the object store refuses access to bucket " + bucket.url());
      EXPECT_THAT(error.evidence().at(0),
                  HasSubstr(wrong_key ? "403 InvalidAccessKeyId" : "403 SignatureDoesNotMatch"));
    }
  }
  EXPECT_EQ(bucket.get("a", 10), std::nullopt);
}

TEST_F(BucketTest, NamesABucketThatIsNotThere) {
  const Bucket none(place(ObjectStore::shared().no_bucket()));
  EXPECT_STREQ(error_of([&] { none.get("a", 10); }).what(),
               ("there is no bucket " + ObjectStore::shared().no_bucket()).c_str());
}

TEST(BucketPlaceTest, IsChecked) {
  const auto said = [](const std::string& url) {
    return std::string(error_of([&] { Bucket({.url = url, .access_key = "a", .secret_key = "s"}); }).what());
  };
  for (const char* url :
       {"bucket", "https://host", "https://host/a/b", "ftp://host/b", "https://host/b?x", "https:///b"})
    EXPECT_THAT(said(url), HasSubstr("is not the address of a bucket")) << url;
  EXPECT_EQ(said("http://s3.example/b"), "the address of bucket http://s3.example/b is not encrypted");
  EXPECT_THAT(said("http://127.0.0.1.example/b"), HasSubstr("is not encrypted"));
  EXPECT_THAT(error_of([] { Bucket({.url = "https://host/b"}); }).what(), StartsWith("there is no access key"));
}

}  // namespace
}  // namespace kiln::s3

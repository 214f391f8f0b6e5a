// On libvirt's own mock of a host, which keeps volumes in memory.
#include "libvirt/storage.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

using testing::HasSubstr;
constexpr char host[] = "test:///default";

TEST(Storage, IsMadeAndUsedAndNothingIsTakenTwice) {
  const auto connection = std::make_shared<Connection>(host);
  try {
    const Storage none(connection, host);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no storage pool \"kiln\" on test:///default"));
    EXPECT_THAT(error.hint(), HasSubstr("virsh -c 'test:///default' pool-define-as kiln dir"));
  }
  const PoolHandle pool(virStoragePoolDefineXML(connection->get(), pool_xml("kiln", "/pool").c_str(), 0));
  ASSERT_TRUE(pool);
  const Storage storage(connection, host);  // it was defined, and is started
  EXPECT_TRUE(storage.volumes().empty());
  EXPECT_EQ(storage.create({.name = "a", .format = "raw", .capacity = 1 << 20}), "/pool/a");
  EXPECT_THROW(storage.create({.name = "a", .format = "raw", .capacity = 1 << 20}), Error);
  const auto found = storage.find("a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, "/pool/a");
  EXPECT_EQ(found->format, "raw");
  EXPECT_EQ(found->capacity, 1U << 20);
  EXPECT_EQ(storage.volumes().size(), 1U);
  EXPECT_FALSE(storage.find("b"));
  storage.remove("a");
  storage.remove("a");
  EXPECT_TRUE(storage.volumes().empty());
  EXPECT_THROW(storage.open("a"), Error);
}

}  // namespace
}  // namespace kiln

// The engine with the real appliance: two neighbouring changes share it, and each gets a layer of its own.
#include "engine/fixture.h"

#include <kiln/endian.h>

namespace kiln::engine {
namespace {

class ApplianceTest : public EngineTest {
 protected:
  static std::string call(const std::string& words) { return "[[stage]]\nuse = \"t-edit\"\nwords = [" + words + "]\n"; }
};

TEST_F(ApplianceTest, NeighboursShareItAndGetALayerEach) {
  int started = 0;
  const StartAppliance real = guestfs_appliance(true);
  services.start_appliance = [&](const ApplianceStart& start) {
    ++started;
    return real(start);
  };
  const std::string first =
      "[[stage]]\nuse = \"t-source\"\nsize = \"64M\"\n" + call("\"part-init\", \"/dev/sda\", \"mbr\"");
  run(first + call("\"part-add\", \"/dev/sda\", \"primary\", \"2048\", \"4095\"") +
      "[[stage]]\nuse = \"write\"\nfile = \"out.raw\"\n");
  EXPECT_EQ(endings(), "1 done, 2 done, 3 done, 4 done");
  EXPECT_EQ(started, 1);
  EXPECT_EQ(layers().size(), 3U);
  EXPECT_TRUE(layers(true).empty());

  std::vector<std::byte> sector(512);
  const auto first_partition = [&](const char* file) {
    File::open_read(dir / file).read_at(0, sector);
    EXPECT_EQ(get_be<std::uint16_t>(sector, 510), 0x55AA);
    return get_le<std::uint32_t>(sector, 454);
  };
  EXPECT_EQ(first_partition("out.raw"), 2048U);

  // The first layer ends where the first stage did.
  run(first + "[[stage]]\nuse = \"write\"\nfile = \"first.raw\"\n");
  EXPECT_EQ(endings(), "1 cached, 2 cached, 3 done");
  EXPECT_EQ(started, 1);
  EXPECT_EQ(first_partition("first.raw"), 0U);
}

}  // namespace
}  // namespace kiln::engine

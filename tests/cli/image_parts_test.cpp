// Images of several disks, looked at the way a user does.
#include "catalog/fixture.h"
#include "cli/accounts.h"

namespace kiln::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

class ImageParts : public Accounts {
 protected:
  ImageParts() {
    LocalCatalog catalog(kiln.home() / "catalog", {"alice", false});
    std::vector<NewPart> parts{{"disk", "disk1", store_part(catalog, data)},
                               {"vars", "vars", store_part(catalog, vars)}};
    image = test::publish(catalog, system, {"multi", "1", "", 0, {}}, std::move(parts)).image;
  }
  MemoryDisk system = make_disk(2 << 20, 5), data = make_disk(1 << 20, 6), vars = make_disk(540 << 10, 7);
  Image image;
};

TEST_F(ImageParts, ShowAndListTellOfThem) {
  const std::string digest = "sha256:" + to_hex(image.parts[1].content);
  EXPECT_THAT(tell("alice", {"image", "show", "multi"}),
              AllOf(HasSubstr("part disk1"), HasSubstr("part vars"), HasSubstr("vars, 540.0 KiB, " + digest)));
  const json shown = ask("alice", {"image", "show", "multi"});
  ASSERT_THAT(shown["parts"], SizeIs(2));
  EXPECT_EQ(shown["parts"][0]["name"], "disk1");
  EXPECT_EQ(shown["parts"][1],
            (json{{"role", "vars"}, {"name", "vars"}, {"content", digest}, {"virtual_size", 540 << 10}}));
  EXPECT_EQ(shown["virtual_size"], 2 << 20);
  EXPECT_EQ(shown["total_size"], (3 << 20) + (540 << 10));
  EXPECT_THAT(tell("alice", {"image", "list", "multi"}), HasSubstr("3.5 MiB"));
  EXPECT_THAT(ask("alice", {"image", "show", "web"})["parts"], SizeIs(0));
}

TEST_F(ImageParts, ExportWritesTheOneThatIsNamed) {
  tell("alice", {"image", "export", "multi", (kiln / "vars.raw").string(), "--part", "vars"});
  const File file = File::open_read(kiln / "vars.raw");
  std::vector<std::byte> bytes(file.size());
  file.read_at(0, bytes);
  EXPECT_EQ(bytes, read_all(vars));
  EXPECT_EQ(refuse("alice", {"image", "export", "multi", (kiln / "x.raw").string(), "--part", "disk2"}, 2),
            "error: image multi:1 has no part \"disk2\"\nhelp: its parts are disk1, vars\n");
  EXPECT_THAT(
      tell("alice", {"image", "export", "multi", "--oci", (kiln / "oci").string()}),
      HasSubstr("not written of multi:1: disk1, vars; to write one: kiln image export multi:1 FILE --part disk1"));
  EXPECT_EQ(ask("alice", {"image", "export", "multi", "--oci", (kiln / "oci").string()})["parts_left_out"],
            (json{"disk1", "vars"}));
}

TEST_F(ImageParts, APackageHasAllDisks) {
  LocalCatalog catalog(kiln.home() / "catalog", {"alice", false});
  std::vector<NewPart> parts{{part_role::data, "disk1", store_part(catalog, data)},
                             {part_role::firmware, "vars", store_part(catalog, vars)}};
  const Image machine =
      test::publish(catalog, system, {"machine", "1", "", 0, {{"machine.cpus", "3"}}}, std::move(parts)).image;
  const std::string file = (kiln / "machine.ova").string();
  EXPECT_EQ(ask("alice", {"image", "export", "machine", file})["parts_left_out"], (json{"vars"}));
  tell("alice", {"import", file, "--name", "back"});
  const json back = ask("alice", {"image", "show", "back"});
  EXPECT_EQ(back["content"], ask("alice", {"image", "show", "machine"})["content"]);
  EXPECT_EQ(back["facts"]["machine.cpus"], "3");
  EXPECT_EQ(back["facts"]["origin.name"], "machine");
  ASSERT_THAT(back["parts"], SizeIs(1));
  EXPECT_EQ(back["parts"][0]["content"], "sha256:" + to_hex(machine.parts[0].content));
}

TEST_F(ImageParts, DiffSaysWhichDiffer) {
  LocalCatalog catalog(kiln.home() / "catalog", {"alice", false});
  std::vector<NewPart> parts{{"disk", "disk1", store_part(catalog, data)}, {"vars", "vars", store_part(catalog, data)}};
  test::publish(catalog, system, {"multi", "2", "", 0, {}}, std::move(parts));
  EXPECT_THAT(tell("alice", {"image", "diff", "multi:1", "multi:2"}),
              AllOf(HasSubstr("part vars  differs"), HasSubstr("the same system disk")));
  EXPECT_EQ(ask("alice", {"image", "diff", "multi:1", "multi:2"})["parts_differ"], (json{"vars"}));
}

}  // namespace
}  // namespace kiln::test

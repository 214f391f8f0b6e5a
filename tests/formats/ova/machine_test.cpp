// The machine that an OVA describes, as import understands it again.

#include "formats/ova/ova_files.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class OvaMachine : public testing::Test {
 protected:
  OvaMachine() { test::write_raw(raw, {"small", 1 << 20, {{0, 4096}}}); }
  Facts facts(const Table& options, const Facts& known = {}, const std::string& name = "machine") {
    fs::remove(file);
    const test::RawDisk disk(raw);
    test::pack_ova({&disk}, file, options, known);
    ovf = test::member(file, name + ".ovf");
    return test::Taken(file).facts();
  }
  static Value text(const std::string& s) { return Value{s}; }

  const test::TempDir dir;
  const fs::path raw = dir / "raw", file = dir / "x.ova";
  std::string ovf;
};

TEST_F(OvaMachine, IsOneThatEveryHypervisorStarts) {
  const Facts found = facts({});
  EXPECT_EQ(found.at("machine.cpus"), "2");
  EXPECT_EQ(found.at("machine.memory"), std::to_string(2048ull << 20));
  EXPECT_EQ(found.at("machine.nic"), "e1000");
  EXPECT_EQ(found.at("machine.disk_bus"), "sata");
  EXPECT_EQ(found.at("origin.name"), "machine");
  EXPECT_FALSE(found.contains("boot.firmware"));
  EXPECT_THAT(ovf, HasSubstr("<OperatingSystemSection ovf:id=\"101\" vmw:osType=\"otherLinux64Guest\">"));
}

TEST_F(OvaMachine, IsWhatIsKnownOfTheImage) {
  const Facts found = facts({},
                            {{"machine.cpus", "6"},
                             {"machine.memory", "3221225472"},
                             {"boot.firmware", "secure"},
                             {"origin.name", "web <1> server"},
                             {"os.product", "Debian GNU/Linux 12 & more"}},
                            "web--1--server");
  EXPECT_EQ(found.at("machine.cpus"), "6");
  EXPECT_EQ(found.at("machine.memory"), "3221225472");
  EXPECT_EQ(found.at("boot.firmware"), "secure");
  EXPECT_EQ(found.at("origin.name"), "web--1--server");
  EXPECT_EQ(found.at("origin.os"), "Debian GNU/Linux 12 & more");
  EXPECT_THAT(ovf, HasSubstr("ovf:id=\"96\""));
}

TEST_F(OvaMachine, IsWhatTheOptionsSayFirst) {
  Table options;
  options["cpus"] = Value{std::int64_t{8}};
  options["memory"] = Value{Bytes{1'000'000'000}};
  options["firmware"] = text("uefi");
  options["controller"] = text("scsi");
  options["nic"] = text("e1000e");
  options["name"] = text("web");
  options["os"] = text("Windows Server 2022");
  const Facts found = facts(options, {{"machine.cpus", "6"}, {"boot.firmware", "bios"}}, "web");
  EXPECT_EQ(found.at("machine.cpus"), "8");
  EXPECT_EQ(found.at("machine.memory"), std::to_string(956ull << 20));  // in steps of 4 MiB
  EXPECT_EQ(found.at("boot.firmware"), "uefi");
  EXPECT_EQ(found.at("machine.nic"), "e1000e");
  EXPECT_FALSE(found.contains("machine.disk_bus"));
  EXPECT_THAT(ovf, HasSubstr("lsilogic"));
  EXPECT_THAT(ovf, HasSubstr("vmw:osType=\"windows9Server64Guest\""));
}

TEST_F(OvaMachine, PassesOverFactsThatMakeNoSense) {
  const Facts found = facts({}, {{"machine.cpus", "four"},
                                 {"machine.memory", "99999999999999999999"},
                                 {"boot.firmware", "bios,uefi"},
                                 {"origin.name", "../.."}});
  EXPECT_EQ(found.at("machine.cpus"), "2");
  EXPECT_EQ(found.at("machine.memory"), std::to_string(2048ull << 20));
  EXPECT_FALSE(found.contains("boot.firmware"));
}

TEST_F(OvaMachine, RefusesOptionsThatMakeNone) {
  for (const Table& options :
       {Table{{"cpus", Value{std::int64_t{-1}}}}, Table{{"cpus", Value{std::int64_t{256}}}},
        Table{{"memory", Value{Bytes{std::uint64_t{1} << 60}}}}, Table{{"level", Value{std::int64_t{13}}}},
        Table{{"name", text("a/b")}}, Table{{"name", text(std::string(61, 'a'))}}}) {
    try {
      test::ova().create_with(file, 1 << 20, options);
      ADD_FAILURE() << canonical(Value{options});
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::invalid);
      EXPECT_FALSE(error.hint().empty());
    }
    EXPECT_FALSE(fs::exists(file));
  }
}

}  // namespace
}  // namespace kiln

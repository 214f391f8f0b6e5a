#include "machine/instances.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kiln/file.h>

#include "machine/instance_record.h"
#include "machine/qemu.h"
#include "support/temp.h"

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return std::string(e.what()) + " | " + e.hint();
  }
  return "no error";
}

Instance put(const std::filesystem::path& home, const std::string& name, const ProcessId& process) {
  Instance i;
  i.name = name;
  i.image_id = "img-1";
  i.image = "web:1";
  i.created = "2026-01-01T00:00:00Z";
  i.accelerator = "tcg";
  i.firmware = Firmware::uefi;
  i.memory = Bytes{1u << 30};
  i.cpus = 2;
  i.ports = {{2222, 22}};
  i.process = process;
  i.boot_id = host_boot_id();
  i.folder = home / "instances" / name;
  std::filesystem::create_directories(i.folder);
  write_instance(i);
  return i;
}

TEST(InstanceName, BecomesAHostName) {
  for (const char* good : {"a", "web", "Web-2", "0", "a-b-c"}) EXPECT_TRUE(valid_instance_name(good)) << good;
  for (const char* bad : {"", "-a", "a-", "a.b", "a/b", "..", "a b", "ä", "a_b"})
    EXPECT_FALSE(valid_instance_name(bad)) << bad;
  EXPECT_TRUE(valid_instance_name(std::string(63, 'a')));
  EXPECT_FALSE(valid_instance_name(std::string(64, 'a')));
}

TEST(Instances, AHomeWithoutAnyIsEmpty) {
  test::TempDir home;
  EXPECT_THAT(Instances(home.path()).list(), IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(home.path()));
}

TEST(Instances, AnUnknownNameGetsTheNearest) {
  test::TempDir home;
  const Instances instances(home.path());
  EXPECT_EQ(error_of([&] { instances.get("web"); }), "there is no instance \"web\" | kiln ps lists what there is");
  put(home.path(), "webby", {1, 1});
  EXPECT_EQ(error_of([&] { instances.get("webbi"); }), "there is no instance \"webbi\" | did you mean \"webby\"?");
}

TEST(Instances, TheRecordReadsBack) {
  test::TempDir home;
  const Instance wrote = put(home.path(), "web", *identify(::getpid()));
  const Instance read = Instances(home.path()).get("web");
  EXPECT_EQ(read.image_id, "img-1");
  EXPECT_EQ(read.image, "web:1");
  EXPECT_EQ(read.created, wrote.created);
  EXPECT_EQ(read.firmware, Firmware::uefi);
  EXPECT_EQ(read.memory, wrote.memory);
  ASSERT_EQ(read.ports.size(), 1u);
  EXPECT_EQ(read.ports[0].host, 2222);
  EXPECT_EQ(read.process, wrote.process);
  EXPECT_EQ(read.state, Instance::State::running);
}

/// An instance of an account; of nobody when that is empty, as in a record from before instances had owners.
Instance put_of(const std::filesystem::path& home, const std::string& name, const std::string& account,
                bool of_server = false) {
  Instance i = put(home, name, {1, 1});
  i.account = account;
  i.of_server = of_server;
  i.region = "local";
  write_instance(i);
  return i;
}

std::vector<std::string> names(const Instances& instances) {
  std::vector<std::string> out;
  for (const Instance& i : instances.list()) out.push_back(i.name);
  return out;
}

TEST(Instances, OfAnotherAccountDoNotExist) {
  test::TempDir home;
  put_of(home.path(), "ali", "alice");
  put_of(home.path(), "bobs", "bob");
  put_of(home.path(), "old", "");
  std::filesystem::create_directories(home / "instances/half");
  const Instances zed(home.path(), {.account = "zed", .keeps_home = false});
  EXPECT_THAT(zed.list(), IsEmpty());
  const std::string none = "there is no instance \"ali\" | kiln ps lists what there is";
  EXPECT_EQ(error_of([&] { zed.get("ali"); }), none);
  EXPECT_EQ(error_of([&] { zed.stop("ali"); }), none);
  EXPECT_EQ(error_of([&] { zed.remove("ali", true); }), none);
  EXPECT_EQ(error_of([&] { zed.serial_log("ali"); }), none);
  EXPECT_EQ(error_of([&] { zed.console("ali", 0, 1); }), none);
  EXPECT_EQ(zed.instances_of("img-1").size(), 3u) << "an image is in use, whoever asks";

  const Instances alice(home.path(), {.account = "alice", .keeps_home = false});
  EXPECT_EQ(names(alice), std::vector<std::string>{"ali"});
  EXPECT_EQ(alice.get("ali").account, "alice");
  EXPECT_EQ(alice.get("ali").region, "local");
  const Instances keeper(home.path(), {.account = "local"});
  EXPECT_EQ(names(keeper), (std::vector<std::string>{"ali", "bobs", "half", "old"}));
  alice.remove("ali");
  keeper.remove("bobs");
  keeper.remove("old");
}

TEST(Instances, OnAServerTheLoginHasItsOwnAndWhatIsTheHomes) {
  test::TempDir home;
  put_of(home.path(), "ali", "alice", true);
  put_of(home.path(), "carols", "carol", true);
  put_of(home.path(), "old", "");
  put_of(home.path(), "before", "local");  // when the home still had a catalog of its own
  EXPECT_EQ(names(Instances(home.path(), {.account = "alice", .of_server = true})),
            (std::vector<std::string>{"ali", "before", "old"}));
  EXPECT_EQ(names(Instances(home.path(), {.account = "alice", .keeps_home = false})), std::vector<std::string>{})
      << "an account of the home's own catalog is not the login of that name";
  EXPECT_EQ(Instances(home.path(), {.account = "local"}).list().size(), 4u);
}

TEST(Instances, ARecordFromBeforeThereWereAccountsIsRead) {
  test::TempDir home;
  std::filesystem::create_directories(home / "instances/web");
  write_text(home / "instances/web/instance.json",
             R"({"name":"web","image_id":"img-1","image":"web:1","created":"2026-01-01T00:00:00Z","accelerator":"tcg",)"
             R"("firmware":"bios","memory":268435456,"cpus":1,"ports":[],"pid":1,"started":1,"boot_id":"x"})");
  const Instance read = Instances(home.path()).get("web");
  EXPECT_EQ(read.account, "");
  EXPECT_EQ(read.state, Instance::State::stopped);
}

TEST(Instances, APidThatIsAnothersNowIsStopped) {
  test::TempDir home;
  ProcessId other = *identify(::getpid());
  other.started += 1;
  put(home.path(), "recycled", other);
  Instance old = put(home.path(), "rebooted", *identify(::getpid()));
  old.boot_id = "of an earlier boot";
  write_instance(old);
  const Instances instances(home.path());
  EXPECT_EQ(instances.get("recycled").state, Instance::State::stopped);
  EXPECT_EQ(instances.get("rebooted").state, Instance::State::stopped);
  EXPECT_EQ(instances.stop("recycled"), Stopped::already);
}

TEST(Instances, OfAnImage) {
  test::TempDir home;
  put(home.path(), "b", {1, 1});
  put(home.path(), "a", {1, 1});
  const Instances instances(home.path());
  ASSERT_EQ(instances.instances_of("img-1").size(), 2u);
  EXPECT_EQ(instances.instances_of("img-1")[0].name, "a");
  EXPECT_THAT(instances.instances_of("img-2"), IsEmpty());
}

TEST(Instances, ARunningOneIsNotRemoved) {
  test::TempDir home;
  put(home.path(), "web", *identify(::getpid()));
  EXPECT_EQ(error_of([&] { Instances(home.path()).remove("web"); }),
            "instance \"web\" is running | kiln stop web, or remove it with --force");
}

TEST(Instances, AStoppedAndABrokenOneAreRemoved) {
  test::TempDir home;
  put(home.path(), "web", {1, 1});
  std::filesystem::create_directories(home / "instances/half");
  const Instances instances(home.path());
  EXPECT_EQ(instances.get("half").state, Instance::State::broken);
  instances.remove("web");
  instances.remove("half");
  EXPECT_THAT(instances.list(), IsEmpty());
}

TEST(Console, WithoutATerminalPrintsWhatWasWritten) {
  test::TempDir home;
  const Instance instance = put(home.path(), "web", {1, 1});
  write_text(instance.folder / machine_file::serial_log, "hello\n");
  const int in = ::open("/dev/null", O_RDONLY);
  const int out = ::open((home / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  Instances(home.path()).console("web", in, out);
  ::close(in);
  ::close(out);
  EXPECT_EQ(read_text(home / "out"), "hello\n");
}

/// A port of the loopback address that somebody listens on.
class TakenPort {
 public:
  TakenPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(fd_, 1);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~TakenPort() { ::close(fd_); }
  std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

class LaunchRefused : public testing::Test {
 protected:
  std::string launch(const LaunchSpec& spec) {
    return error_of([&] { Instances(home_.path()).launch(base_, spec, {"tcg", ""}); });
  }
  void TearDown() override { EXPECT_THAT(Instances(home_.path()).instances_of("img-9"), IsEmpty()); }
  test::TempDir home_;
  LaunchBase base_{{"/nowhere/base.qcow2", "qcow2"}, "img-9", "web:9", "web", Firmware::bios};
};

TEST_F(LaunchRefused, ForItsName) {
  LaunchSpec spec;
  spec.name = "../evil";
  EXPECT_THAT(launch(spec), HasSubstr("\"../evil\" cannot name an instance"));
  put(home_.path(), "web", {1, 1});
  spec.name = "web";
  EXPECT_EQ(launch(spec), "there is already an instance \"web\" | choose another --name, or: kiln rm web");
}

TEST_F(LaunchRefused, ForANameThatAnotherAccountHas) {
  put_of(home_.path(), "web", "alice");
  LaunchSpec spec;
  spec.name = "web";
  const Instances bob(home_.path(), {.account = "bob", .keeps_home = false});
  EXPECT_EQ(error_of([&] {
              bob.launch(base_, spec, {"tcg", ""});
            }),
            "the name \"web\" is taken on this host | choose another --name");
}

TEST_F(LaunchRefused, ForAPortThatIsTaken) {
  const TakenPort taken;
  const std::string number = std::to_string(taken.port());
  LaunchSpec spec;
  spec.ports = {{taken.port(), 22}};
  EXPECT_THAT(launch(spec), HasSubstr("port " + number + " of this host is in use | choose another"));
  spec.ports = {{4711, 22}, {4711, 80}};
  EXPECT_THAT(launch(spec), HasSubstr("port 4711 of this host is given twice"));
  put(home_.path(), "other", *identify(::getpid()));
  spec.ports = {{2222, 22}};
  EXPECT_THAT(launch(spec), HasSubstr("port 2222 of this host is used by instance \"other\""));
}

TEST_F(LaunchRefused, ForABaseThatIsNotThere) {
  EXPECT_THAT(launch({}), HasSubstr("qemu-img exited with status 1"));
}

}  // namespace
}  // namespace kiln

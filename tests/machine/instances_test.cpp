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
#include "machine/seed.h"
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
  i.hardware.firmware = Firmware::uefi;
  i.hardware.disk_bus = DiskBus::nvme;
  i.hardware.nic = Nic::e1000e;
  i.hardware.tap = "tap7";
  i.disk_size = 5u << 20;
  i.uuid = "u-1";
  i.mac = "52:54:00:00:00:01";
  i.token = "t-1";
  i.ports = {{2222, 22}};
  i.process = process;
  i.boot_id = host_boot_id();
  i.folder = home / "instances" / name;
  std::filesystem::create_directories(i.folder);
  write_instance(i);
  return i;
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
  EXPECT_EQ(read.hardware.firmware, Firmware::uefi);
  EXPECT_EQ(read.hardware.memory, wrote.hardware.memory);
  EXPECT_EQ(read.hardware.disk_bus, DiskBus::nvme);
  EXPECT_EQ(read.hardware.nic, Nic::e1000e);
  EXPECT_EQ(read.hardware.tap, "tap7");
  EXPECT_EQ(read.disk_size, 5u << 20);
  EXPECT_EQ(read.uuid, "u-1");
  EXPECT_EQ(read.mac, "52:54:00:00:00:01");
  EXPECT_EQ(read.token, "t-1");
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
  std::filesystem::path put_base() const {
    write_text(home_ / "base.qcow2", "no disk");
    return home_ / "base.qcow2";
  }
  test::TempDir home_;
  // Whatever is not refused meets a QEMU that finds no qcow2 in it.
  LaunchBase base_{{put_base(), "qcow2"}, "img-9", "web:9", "web", 1u << 20};
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
  std::filesystem::remove(base_.disk.file);
  EXPECT_EQ(launch({}), "the disk of web:9 is not there | is everything of KILN_HOME there?");
}

TEST_F(LaunchRefused, ForTooManyAndForASmallerDisk) {
  LaunchSpec spec;
  spec.count = 501;
  EXPECT_THAT(launch(spec), HasSubstr("a launch makes 1 to 500 instances"));
  spec.count = 1;
  spec.disk_size = 512;
  EXPECT_EQ(launch(spec),
            "the disk of web:9 has 1.0 MiB, which is more than 512 B | give a larger --disk-size, or leave it out");
}

TEST_F(LaunchRefused, ForWhatTheHostHasNoRoomFor) {
  LaunchSpec spec;
  spec.count = 500;
  spec.memory = Bytes{std::uint64_t{1} << 40};
  const std::string said = launch(spec);
  EXPECT_THAT(said, HasSubstr("500 machines of 1.0 TiB need 500.0 TiB of memory, and this host has "));
  EXPECT_THAT(said, HasSubstr("--queue"));
  spec.fleet = "shop/web";  // kiln apply has no --queue
  EXPECT_THAT(launch(spec), testing::EndsWith("describe fewer or smaller ones, or say --overcommit"));
}

TEST_F(LaunchRefused, ForANetworkThatLeadsNowhere) {
  LaunchSpec spec;
  spec.network = "tap=t0";
  spec.count = 2;
  EXPECT_THAT(launch(spec), HasSubstr("the tap device \"t0\" leads into one machine"));
  spec.count = 1;
  spec.ports = {{0, 22}};
  EXPECT_THAT(launch(spec), HasSubstr("not into the tap device"));
  spec.network = "";
  spec.nic = "none";
  EXPECT_THAT(launch(spec), HasSubstr("without a network card"));
}

TEST_F(LaunchRefused, ForAHardwareThatThereIsNot) {
  LaunchSpec spec;
  spec.disk_bus = "floppy";
  EXPECT_EQ(launch(spec), "there is no disk bus \"floppy\" | there are: virtio, scsi, sata, nvme");
  spec.disk_bus = "";
  spec.network = "tap=../x";
  EXPECT_EQ(launch(spec), "there is no network \"tap=../x\" | give user, isolated, or tap=NAME");
}

/// Remembers what it was asked for.
class FakeDriver final : public Driver {
 public:
  void look(const std::vector<Instance*>& asked, Duration) override {
    calls.push_back("look " + std::to_string(asked.size()));
    for (Instance* i : asked) {
      i->state = state;
      i->reason = "the host said so";
    }
  }
  void launch(const Instance& i, const Seed& seed, bool start, const std::stop_token&) override {
    calls.push_back(std::string(start ? "launch " : "make ") + i.name + " " + i.connect + " " + i.base.file.string() +
                    " " + seed.hostname);
    EXPECT_TRUE(std::filesystem::exists(i.folder / "instance.json"));
    if (fails) throw Error("the host has no room");
  }
  void start(const Instance& i, const std::stop_token&) override { calls.push_back("start " + i.name); }
  Stopped stop(const Instance& i, Duration, const std::stop_token&) override {
    calls.push_back("stop " + i.name);
    return Stopped::by_guest;
  }
  void remove(const Instance& i) override {
    calls.push_back("remove " + i.name);
    if (fails) throw Error("the host does not answer");
  }
  std::string serial_text(const Instance&, std::uint64_t) override { return "tick"; }
  std::unique_ptr<Console> open_console(const Instance&) override { return nullptr; }

  std::vector<std::string> calls;
  Instance::State state = Instance::State::stopped;
  bool fails = false;
};

class OnAnotherHost : public testing::Test {
 protected:
  Launched launch() {
    LaunchSpec spec;
    spec.driver = "libvirt";
    spec.connect = "qemu:///there";
    return instances_.launch({{"/pool/base", "raw"}, "img-1", "web:1", "web"}, spec, {"tcg", ""}).front();
  }
  test::TempDir home_;
  FakeDriver driver_;
  Instances instances_{home_.path(), {}, &driver_};
};

TEST_F(OnAnotherHost, EverythingIsAskedOfItsDriver) {
  EXPECT_EQ(launch().name, "web");
  EXPECT_EQ(driver_.calls, std::vector<std::string>{"launch web qemu:///there /pool/base web"});
  driver_.calls.clear();
  std::vector<Instance> listed = instances_.list();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].state, Instance::State::unknown);
  EXPECT_THAT(driver_.calls, IsEmpty());
  instances_.ask_hosts(listed);
  EXPECT_EQ(listed[0].state, Instance::State::stopped);
  EXPECT_EQ(listed[0].reason, "the host said so");
  EXPECT_EQ(listed[0].connect, "qemu:///there");
  EXPECT_EQ(listed[0].uuid.size(), 36U);
  EXPECT_EQ(instances_.serial_text("web", 100), "tick");
  driver_.calls.clear();
  EXPECT_TRUE(instances_.start("web", {"tcg", ""}));
  EXPECT_EQ(instances_.stop("web"), Stopped::by_guest);
  EXPECT_EQ(instances_.remove("web"), std::nullopt);
  EXPECT_EQ(driver_.calls,
            (std::vector<std::string>{"look 1", "start web", "look 1", "stop web", "look 1", "remove web"}));
  EXPECT_THAT(instances_.list(), IsEmpty());
}

TEST_F(OnAnotherHost, AFailedLaunchLeavesNoRecord) {
  driver_.fails = true;
  EXPECT_THAT(error_of([&] { launch(); }), HasSubstr("no room"));
  EXPECT_THAT(instances_.list(), IsEmpty());
}

TEST_F(OnAnotherHost, OnlyForceGivesUpWhatCannotBeReached) {
  launch();
  driver_.fails = true;
  driver_.state = Instance::State::unknown;
  EXPECT_THAT(error_of([&] { instances_.remove("web"); }), HasSubstr("does not answer"));
  EXPECT_EQ(instances_.list().size(), 1U);
  EXPECT_STREQ(instances_.remove("web", true).value().what(), "the host does not answer");
  EXPECT_THAT(instances_.list(), IsEmpty());
}

TEST_F(OnAnotherHost, AKilnWithoutTheDriverSaysSo) {
  launch();
  const Instances without(home_.path());
  EXPECT_EQ(without.get("web").state, Instance::State::unknown);
  EXPECT_THAT(error_of([&] { without.stop("web"); }), HasSubstr("which this kiln does not have"));
}

}  // namespace
}  // namespace kiln

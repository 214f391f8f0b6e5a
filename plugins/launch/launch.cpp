// Starts a machine from a published image, and leaves it running.
#include <charconv>
#include <optional>

#include <kiln/file.h>
#include <kiln/plugin.h>

namespace kiln {
namespace {

struct Params {
  std::string image, name;
  std::int64_t count = 1;
  Bytes memory{0};
  std::int64_t cpus = 0;
  std::vector<std::string> ports, ssh_keys;
  std::vector<InputPath> ssh_key_files;
  std::optional<InputPath> user_data;
};

constexpr std::uint64_t least_memory = 32u << 20;

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// "2222:22": a port of the host, a port of the guest.
std::optional<PortForward> parse_forward(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view of_host = text.substr(0, colon);
  const auto host = of_host == "auto" ? std::uint16_t{0} : parse_port(of_host),
             guest = parse_port(text.substr(colon + 1));
  if (!host || !guest) return std::nullopt;
  return PortForward{*host, *guest};
}

void add_key_lines(const std::filesystem::path& file, std::vector<std::string>& keys) {
  const std::string text = read_text(file, 1u << 20);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (!line.empty() && line.front() != '#') keys.push_back(line);
    at = end + 1;
  }
}

std::string image_for(const Params& p, const Facts& facts) {
  if (!p.image.empty()) return p.image;
  const auto published = facts.find("image.reference");
  if (published != facts.end()) return published->second;
  throw Error("there is no image to launch", "put a publish stage before launch, or give image = \"NAME\"");
}

// Access::file: the stage starts when the sinks before it are done, so that the image is there; and the sealed layer
// that it asks for holds the content, so that nothing needs to be copied out of the catalog.
class Launch final : public StageOf<Params, Role::sink, Access::file> {
 public:
  Launch()
      : StageOf(
            {.name = "launch",
             .summary = "Start a machine from a published image, and leave it running.",
             .needs = {"qemu-system-x86_64"}},
            {{"image", &Params::image, "NAME or NAME:VERSION; default: the image that was just published."},
             {"name", &Params::name, "Name of the instance, with # for the number; default: made from the image's."},
             {"count", &Params::count, "How many of them."},
             {"memory", &Params::memory, "Memory of the machine; default: what the image says, else 1 GiB."},
             {"cpus", &Params::cpus, "Processors of the machine; default: what the image says, else 2."},
             {"ports", &Params::ports,
              "\"HOST:GUEST\": ports of this host's loopback address into the guest; \"auto:GUEST\": any free one."},
             {"ssh_keys", &Params::ssh_keys, "Public key lines for the image's default user."},
             {"ssh_key_files", &Params::ssh_key_files, "Files of the host with public key lines."},
             {"user_data", &Params::user_data, "A file of cloud-init user data, instead of the keys."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    for (std::size_t i = 0; i < p.ports.size(); ++i)
      if (!parse_forward(p.ports[i]))
        c.problem("ports[" + std::to_string(i) + "]", "\"" + p.ports[i] + "\" is no HOST:GUEST pair of ports",
                  "for example \"2222:22\"");
    if (p.memory.count != 0 && p.memory.count < least_memory)
      c.problem("memory", "a machine needs at least 32 MiB of memory");
    if (p.cpus < 0 || p.cpus > 255) c.problem("cpus", "\"cpus\" must be a number from 1 to 255");
    if (p.count < 1 || p.count > 500) c.problem("count", "\"count\" must be a number from 1 to 500");
    if (p.user_data && !(p.ssh_keys.empty() && p.ssh_key_files.empty()))
      c.problem("user_data", "\"user_data\" replaces the ssh keys", "put the keys into the user data");
  }

  bool still_there(const Params&, const Facts& made, Catalog&) const override {
    const auto log = made.find("instance.serial_log");
    return log != made.end() && std::filesystem::exists(log->second);
  }

  void run(Context& ctx, const Params& p) const override {
    LaunchSpec spec;
    spec.image = image_for(p, ctx.facts());
    spec.name = p.name;
    spec.count = static_cast<unsigned>(p.count);
    spec.memory = p.memory;
    spec.cpus = static_cast<unsigned>(p.cpus);
    for (const std::string& text : p.ports) spec.ports.push_back(*parse_forward(text));
    spec.ssh_keys = p.ssh_keys;
    for (const InputPath& file : p.ssh_key_files) add_key_lines(file.path, spec.ssh_keys);
    if (p.user_data) spec.user_data = read_text(p.user_data->path, 1u << 20);
    ctx.progress({Progress::Unit::operations, 0, 0, "starting " + spec.image});
    const Launches launches = ctx.machines().launch(spec);
    for (const std::string& warning : launches.warnings) ctx.warn(warning);
    const Launched& first = launches.instances.front();
    ctx.facts().insert_or_assign("instance.name", first.name);
    ctx.facts().insert_or_assign("instance.serial_log", first.serial_log.string());
    const std::size_t others = launches.instances.size() - 1;
    ctx.summary("instance " + first.name + (others == 0 ? "" : " and " + std::to_string(others) + " more") + " of " +
                spec.image + ", pid " + std::to_string(first.pid));
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Launch)

// HostMachines::capture(): finds the machine, and what the catalog knows of its disk already.
#include <sys/stat.h>
#include <unistd.h>

#include <kiln/hash.h>

#include "catalog/image_parts.h"
#include "cli/host_machines.h"
#include "cli/resumption.h"
#include "machine/capture.h"
#include "machine/qemu.h"

namespace kiln::cli {
namespace {

constexpr std::size_t longest_socket = 107;  // unix(7), sun_path without its end

/// An instance of before there was a second monitor has only the one.
std::filesystem::path monitor_of(const Instance& instance) {
  const auto second = instance.folder / machine_file::capture;
  return std::filesystem::exists(second) ? second : instance.folder / machine_file::qmp;
}

void require_folder(const std::filesystem::path& given) {
  if (!std::filesystem::is_directory(given))
    throw invalid("there is no folder " + given.string() + " to keep blocks in", "make it, or choose another one");
}

/// A folder of the machine's own in the one that the user gave. QEMU may run as somebody else, so it is not private.
std::filesystem::path scratch_in(const std::filesystem::path& given, const std::filesystem::path& monitor) {
  require_folder(given);
  const auto folder = std::filesystem::absolute(given) / ("kiln-" + to_hex(sha256(monitor.string())).substr(0, 16));
  std::filesystem::create_directories(folder);
  struct stat there {};
  // The name can be guessed: somebody else's folder would be a way to the disk's content.
  if (::lstat(folder.c_str(), &there) != 0 || !S_ISDIR(there.st_mode) || there.st_uid != ::geteuid())
    throw refused("the folder " + folder.string() + " belongs to somebody else", "choose another one with --scratch");
  return folder;
}

}  // namespace

std::optional<Image> HostMachines::image_of(const Instance& instance) const {
  for (const ImageEntry& entry : catalog_.list())
    if (entry.image.id == instance.image_id) return entry.image;
  return std::nullopt;
}

std::optional<Manifest> HostMachines::try_manifest(const Image& image) const {
  try {
    return catalog_.manifest(image);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::vector<KnownBase> HostMachines::bases_of(const Image& image) const {
  std::vector<KnownBase> known;
  const auto add = [&](const Image& disk) {
    if (auto manifest = try_manifest(disk)) known.push_back({bases_.file_of(disk.content), std::move(*manifest)});
  };
  add(image);
  for (const ImagePart& part : image.parts)
    if (part.role == part_role::data) add(disk_of(image, part));
  return known;
}

std::optional<Manifest> HostMachines::captured_before(const std::string& bitmap, const std::string& drive) const {
  const auto fact_is = [](const Facts& facts, const char* name, const std::string& value) {
    const auto fact = facts.find(name);
    return fact != facts.end() && fact->second == value;
  };
  const std::string self = catalog_.view().account().name;
  for (const ImageEntry& entry : catalog_.list()) {
    const Facts& facts = entry.image.facts;
    // Others may write what they like into their images' facts. One that was edited is not what the disk held.
    if (entry.owner != self || !fact_is(facts, "capture.id", bitmap)) continue;
    if (fact_is(facts, "capture.drive", drive) &&
        fact_is(facts, "source.digest", "sha256:" + to_hex(entry.image.content)))
      return try_manifest(entry.image);
    for (const ImagePart& part : entry.image.parts)
      if (fact_is(facts, ("capture.part." + part.name).c_str(), drive)) return try_manifest(disk_of(entry.image, part));
  }
  return std::nullopt;
}

Capture HostMachines::capture_instance(const CaptureSpec& spec) {
  const Instance instance = instances_.get(spec.instance);
  require_readable(instance);
  if (!instance.restoring.empty() && instance.name != half_restored_)
    throw refused("the disk of instance \"" + instance.name +
                      "\" is half restored: it is neither what it was nor what it is to be",
                  "end it: kiln restore " + instance.name + " --to " + instance.restoring);
  const std::optional<Image> image = image_of(instance);
  if (spec.with_memory && instance.state == Instance::State::stopped)
    throw refused("instance \"" + instance.name + "\" is stopped: there is no memory to capture",
                  "capture it without --with-memory");
  std::vector<KnownBase> bases = image ? bases_of(*image) : std::vector<KnownBase>();
  Capture capture;
  if (instance.driver != "qemu") {
    if (image && !bases.empty()) bases = {{instance.base.file, bases.front().content}};
    capture = capture_domain(spec, &instance, std::move(bases));
  } else if (instance.state == Instance::State::stopped) {
    capture = capture_stopped(instance, format_, bases);
  } else {
    const std::filesystem::path folder = std::filesystem::absolute(instance.folder);
    capture = capture_running({.name = instance.name,
                               .qmp = monitor_of(instance),
                               .agent = instance.folder / machine_file::agent,
                               .agent_turn = folder,
                               .scratch = spec.scratch.empty() ? folder : scratch_in(spec.scratch, folder),
                               .socket = folder / machine_file::fleece,
                               .socket_for_qemu = machine_file::fleece,
                               .bases = std::move(bases),
                               .since = [this](const std::string& bitmap,
                                               const std::string& drive) { return captured_before(bitmap, drive); }},
                              spec, stop_);
    if (spec.with_memory) capture.facts.merge(memory_facts(instance));
  }
  capture.facts["boot.firmware"] = to_text(instance.hardware.firmware);  // from outside "secure" is "uefi"
  if (!instance.image_id.empty()) capture.facts["parent"] = instance.image_id;
  if (image)
    for (const auto& [name, value] : image->facts)
      if (name == "arch" || name.starts_with("os.")) capture.facts.try_emplace(name, value);
  return capture;
}

Capture HostMachines::capture_qemu(const CaptureSpec& spec) {
  if (spec.with_memory)
    throw refused(
        "the memory of a machine that is not kiln's cannot be captured: kiln could not make such a machine again",
        "capture it without --with-memory");
  std::error_code missing;
  const std::filesystem::path qmp = std::filesystem::canonical(spec.qmp, missing);
  if (missing) throw invalid("there is no socket " + spec.qmp.string(), "give the path of a QMP socket of the machine");
  std::filesystem::create_directories(home_.root() / "captures");
  const auto scratch = scratch_in(spec.scratch.empty() ? home_.root() / "captures" : spec.scratch, qmp);
  const std::filesystem::path socket = scratch / "fleece.sock";
  if (socket.string().size() > longest_socket)
    throw Error("the path of a socket for that qemu would be longer than the 107 bytes that it may have",
                "choose a folder with a shorter path with --scratch", {socket.string()});
  return capture_running(
      {.name = qmp.string(),
       .qmp = qmp,
       .agent = spec.agent.empty() ? std::filesystem::path() : std::filesystem::absolute(spec.agent),
       .scratch = scratch,
       .socket = socket,
       .socket_for_qemu = socket.string(),
       .bases = {},
       .since = [this](const std::string& bitmap, const std::string& drive) { return captured_before(bitmap, drive); }},
      spec, stop_);
}

Capture HostMachines::capture_domain(const CaptureSpec& spec, const Instance* instance, std::vector<KnownBase> bases) {
  if (spec.with_memory) throw refused("the memory of a domain cannot be captured: only an instance of this host's");
  if (!spec.scratch.empty()) require_folder(spec.scratch);
  const std::string connect = instance != nullptr ? instance->connect : libvirt_.resolve(spec.connect, stop_);
  const std::string domain = instance != nullptr ? instance->uuid : spec.domain;
  const auto folder = home_.root() / "captures" / ("domain-" + to_hex(sha256(connect + "\n" + domain)).substr(0, 16));
  std::filesystem::create_directories(folder);
  const auto lock = FileLock::try_exclusive(folder / ".lock");
  if (!lock)
    throw Error("another kiln captures " + (instance != nullptr ? instance->name : domain), "wait until it is done");
  const DomainTarget target{
      .connect = connect,
      .domain = domain,
      .name = instance != nullptr ? instance->name : "",
      .folder = folder,
      .formats = formats_,
      .bases = std::move(bases),
      .since = [this](const std::string& point, const std::string& drive) { return captured_before(point, drive); }};
  return libvirt_.capture(target, spec, stop_);
}

Capture HostMachines::capture(const CaptureSpec& spec) {
  if (!spec.instance.empty() + !spec.domain.empty() + !spec.qmp.empty() != 1)
    throw invalid("one machine is captured: an instance, a domain, or that of a QMP socket", "give one of them");
  if (!spec.domain.empty()) return capture_domain(spec, nullptr, {});
  return spec.instance.empty() ? capture_qemu(spec) : capture_instance(spec);
}

}  // namespace kiln::cli

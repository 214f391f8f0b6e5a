#include "kernel.h"

#include <algorithm>
#include <array>
#include <optional>

#include "initramfs.h"
#include "text.h"

namespace kiln::preflight {
namespace {

/// What a virtio disk on PCI takes, and the option that builds each in (Linux, drivers/virtio/Kconfig).
struct Driver {
  std::string_view module, option;
  bool early;  ///< needed to reach the root file system
};
constexpr std::array<Driver, 5> drivers{{{"virtio", "CONFIG_VIRTIO", true},
                                         {"virtio_ring", "CONFIG_VIRTIO", true},
                                         {"virtio_pci", "CONFIG_VIRTIO_PCI", true},
                                         {"virtio_blk", "CONFIG_VIRTIO_BLK", true},
                                         {"virtio_net", "CONFIG_VIRTIO_NET", false}}};
/// An initramfs for every machine has some 100 MiB.
constexpr std::uint64_t initramfs_limit = 256u << 20;

/// modules.dep of a distribution's kernel has less than 1 MiB.
constexpr std::uint64_t list_limit = 16u << 20;
/// Each costs a look into its initramfs.
constexpr std::size_t most_kernels = 8;

bool is_driver(std::string_view name) {
  return std::ranges::find(drivers, name, &Driver::module) != drivers.end();
}

const Names& driver_names() {
  static const Names all = [] {
    Names names;
    for (const Driver& driver : drivers) names.emplace(driver.module);
    return names;
  }();
  return all;
}

constexpr const char* tools_modules = "/etc/initramfs-tools/modules";
constexpr const char* dracut_file = "/etc/dracut.conf.d/90-kiln-virtio.conf";

struct Kernel {
  std::string version, image, folder;
};

/// "/boot/vmlinuz-virt" of Alpine has its modules in /lib/modules/6.6.1-0-virt.
std::string folder_of(Guest& g, const Kernel& kernel) {
  if (g.is_directory(kernel.folder)) return kernel.folder;
  const std::vector<std::string> found = g.glob("/lib/modules/*-" + kernel.version + "/modules.dep");
  return found.size() == 1 ? found[0].substr(0, found[0].rfind('/')) : kernel.folder;
}

std::vector<Kernel> kernels_of(Guest& g) {
  std::vector<Kernel> out;
  const auto add = [&](const std::string& version, const std::string& image) {
    if (version.find("rescue") != std::string::npos) return;
    if (std::ranges::find(out, version, &Kernel::version) == out.end())
      out.push_back({version, image, "/lib/modules/" + version});
  };
  for (const char* start : {"/boot/vmlinuz-", "/boot/vmlinux-", "/boot/Image-"})
    for (const std::string& path : g.glob(std::string(start) + "*"))
      if (!path.ends_with(".old") && !path.ends_with(".hmac")) add(path.substr(std::string_view(start).size()), path);
  for (const std::string& path : g.glob("/usr/lib/modules/*/vmlinuz")) {
    const std::string folder = path.substr(0, path.rfind('/'));
    add(folder.substr(folder.rfind('/') + 1), path);
  }
  // "/boot/vmlinuz-linux" of Arch says a name, and /usr/lib/modules/VERSION/vmlinuz the version of the same.
  if (out.size() > 1) std::erase_if(out, [&](const Kernel& k) { return !g.is_directory(k.folder); });
  if (out.size() > most_kernels) out.resize(most_kernels);
  for (Kernel& kernel : out) kernel.folder = folder_of(g, kernel);
  return out;
}

std::string initramfs_of(Guest& g, const Kernel& kernel) {
  const std::string& v = kernel.version;
  for (const std::string& path : {"/boot/initrd.img-" + v, "/boot/initramfs-" + v + ".img", "/boot/initrd-" + v,
                                  "/boot/initramfs-" + v, "/usr/lib/modules/" + v + "/initrd"})
    if (g.is_file(path)) return path;
  const std::vector<std::string> only = g.glob("/boot/initramfs-*.img");
  return only.size() == 1 ? only[0] : "";
}

/// What a kernel has, and where.
struct Has {
  Names built_in, modules, early;
  std::string initramfs;
  std::optional<Error> unreadable = {};

  bool in_kernel(std::string_view name) const { return built_in.contains(name) || modules.contains(name); }
};

/// The drivers in a list of modules such as modules.dep: a path in each line, perhaps others behind a colon.
Names drivers_in(Guest& g, const std::string& list) {
  Names out;
  for (const std::string& line : lines_of(text_of(g, list, list_limit).value_or("")))
    if (std::string name = module_name(line.substr(0, line.find(':'))); is_driver(name)) out.insert(std::move(name));
  return out;
}

Has look_into(Guest& g, const Kernel& kernel) {
  Has has{.built_in = drivers_in(g, kernel.folder + "/modules.builtin"),
          .modules = drivers_in(g, kernel.folder + "/modules.dep"),
          .early = {},
          .initramfs = initramfs_of(g, kernel)};
  for (const std::string& line : lines_of(text_of(g, "/boot/config-" + kernel.version).value_or("")))
    for (const Driver& driver : drivers)
      if (line == std::string(driver.option) + "=y") has.built_in.insert(std::string(driver.module));
  if (has.initramfs.empty()) return has;
  try {
    has.early = modules_in(g.read(has.initramfs, initramfs_limit), driver_names());
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    has.unreadable = error;
  }
  return has;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

/// Drivers that the kernel does not have at all, and those that its initramfs lacks.
struct Lacks {
  std::vector<std::string> kernel, early;
};

Lacks lacks_of(const Has& has) {
  Lacks out;
  for (const Driver& driver : drivers) {
    const std::string name(driver.module);
    // virtio_ring and virtio are often built in without being in a list: what no list has is asked for by the others.
    const bool base = driver.option == "CONFIG_VIRTIO";
    if (!has.in_kernel(name) && !base) out.kernel.push_back(name);
    if (driver.early && has.modules.contains(name) && !has.built_in.contains(name) && !has.early.contains(name))
      out.early.push_back(name);
  }
  return out;
}

enum class Tool { none, initramfs_tools, dracut };

Tool tool_of(Guest& g) {
  if (g.exists("/usr/sbin/update-initramfs")) return Tool::initramfs_tools;
  for (const char* path : {"/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut"})
    if (g.exists(path)) return Tool::dracut;
  return Tool::none;
}

Finding finding_for(const Kernel& kernel, const Has& has, const Lacks& lacks, Tool tool) {
  Finding out{.code = std::string(code::no_virtio), .severity = Severity::warning, .what = {}};
  if (!lacks.kernel.empty()) {
    out.what = "kernel " + kernel.version + " has no drivers for virtio";
    out.evidence = {kernel.folder + ": neither a module nor built in: " + joined(lacks.kernel)};
    out.hint = "install the distribution's stock kernel";
  } else if (has.unreadable) {
    out.what = "whether kernel " + kernel.version + " starts from a virtio disk cannot be told";
    out.evidence = {has.initramfs + ": " + has.unreadable->what()};
    for (const std::string& line : has.unreadable->evidence()) out.evidence.push_back(line);
    out.hint = "make the initramfs anew";
  } else {
    out.what = "kernel " + kernel.version + " cannot reach a virtio disk when it starts";
    out.evidence = {(has.initramfs.empty() ? "no initramfs, and modules: " : has.initramfs + " lacks: ") +
                    joined(lacks.early)};
    out.hint = "add them to the initramfs";
    out.mendable = tool != Tool::none;
  }
  return out;
}

/// The early drivers that are modules of some kernel: dracut complains of others.
std::vector<std::string> wanted(Guest& g) {
  std::vector<std::string> out;
  for (const Kernel& kernel : kernels_of(g)) {
    const Has has = look_into(g, kernel);
    for (const std::string& name : lacks_of(has).early)
      if (std::ranges::find(out, name) == out.end()) out.push_back(name);
  }
  return out;
}

void tell_initramfs_tools(Guest& g, const std::vector<std::string>& names) {
  const std::string before = text_of(g, tools_modules).value_or("");
  std::string added = before.empty() || before.ends_with('\n') ? "" : "\n";
  for (const std::string& name : names)
    if (("\n" + before + "\n").find("\n" + name + "\n") == std::string::npos) added += name + "\n";
  g.make_directory("/etc/initramfs-tools");
  g.write(tools_modules, before + added);
  g.run("update-initramfs -u -k all");
}

void tell_dracut(Guest& g, const std::vector<std::string>& names) {
  std::string line = "add_drivers+=\"";
  for (const std::string& name : names) line += " " + name;
  g.make_directory("/etc/dracut.conf.d");
  g.write(dracut_file, line + " \"\n");
  g.run("dracut --force --regenerate-all");
}

}  // namespace

Findings look_at_kernels(const System& system) {
  Guest& g = system.guest;
  const std::vector<Kernel> kernels = kernels_of(g);
  if (kernels.empty())
    return {{.code = std::string(no_boot_loader),
             .severity = Severity::warning,
             .what = "the system has no kernel",
             .evidence = {"/boot/vmlinuz-*: nothing of this name"},
             .hint = "import a disk that a machine was started from, not the tree of a container"}};
  if (system.arch == "s390x") return {};  // has virtio on channels, and no PCI
  Findings out;
  const Tool tool = tool_of(g);
  for (const Kernel& kernel : kernels) {
    const Has has = look_into(g, kernel);
    const Lacks lacks = lacks_of(has);
    if (!lacks.kernel.empty() || !lacks.early.empty()) out.push_back(finding_for(kernel, has, lacks, tool));
  }
  return out;
}

Findings mend_kernels(const System& system) {
  Guest& g = system.guest;
  const std::vector<std::string> names = wanted(g);
  const Tool tool = tool_of(g);
  if (names.empty() || tool == Tool::none) return {};
  tool == Tool::dracut ? tell_dracut(g, names) : tell_initramfs_tools(g, names);
  return {{.code = std::string(code::no_virtio),
           .what = "mended: every initramfs was made anew with " + joined(names),
           .evidence = {tool == Tool::dracut ? dracut_file : tools_modules}}};
}

}  // namespace kiln::preflight

#include "kernel.h"

#include <algorithm>
#include <array>
#include <optional>

#include "initramfs.h"
#include "kernel_files.h"
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

bool is_driver(std::string_view name) {
  return std::ranges::find(drivers, name, &Driver::module) != drivers.end();
}

constexpr const char* tools_modules = "/etc/initramfs-tools/modules";
constexpr const char* dracut_file = "/etc/dracut.conf.d/90-kiln-virtio.conf";

/// Longer than any takes on an emulated processor.
constexpr std::string_view with_time_limit = "$(command -v timeout >/dev/null && echo timeout 1800) ";

/// What a kernel has, and where.
struct Has {
  Names built_in, modules;
  Names early = {};  ///< of the modules, in the initramfs
  std::optional<Error> unreadable = {};

  bool in_kernel(std::string_view name) const { return built_in.contains(name) || modules.contains(name); }
  /// The initramfs has to hold it.
  bool needs_early(const Driver& driver) const {
    return driver.early && modules.contains(driver.module) && !built_in.contains(driver.module);
  }
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
          .modules = drivers_in(g, kernel.folder + "/modules.dep")};
  for (const std::string& name : kernel.names)
    for (const std::string& line : lines_of(text_of(g, "/boot/config-" + name).value_or("")))
      for (const Driver& driver : drivers)
        if (line == std::string(driver.option) + "=y") has.built_in.insert(std::string(driver.module));
  return has;
}

/// Takes as long as unpacking it does.
void look_into_initramfs(const System& system, const Kernel& kernel, Has& has) {
  Names needed;
  for (const Driver& driver : drivers)
    if (has.needs_early(driver)) needed.emplace(driver.module);
  if (kernel.initramfs.empty() || needed.empty()) return;
  try {
    has.early = modules_in(system.guest.read(kernel.initramfs, initramfs_limit), needed, system.stop);
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    has.unreadable = error;
  }
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
    if (has.needs_early(driver) && !has.early.contains(name)) out.early.push_back(name);
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
  } else if (!kernel.maybe.empty()) {
    out.severity = Severity::note;
    out.what = "whether kernel " + kernel.version + " starts from a virtio disk cannot be told";
    for (const std::string& path : kernel.maybe) out.evidence.push_back(path + " may be its initramfs");
    shorten(out.evidence);
    out.hint = "see to it that it has: " + joined(lacks.early);
  } else if (has.unreadable) {
    out.what = "whether kernel " + kernel.version + " starts from a virtio disk cannot be told";
    out.evidence = {kernel.initramfs + ": " + has.unreadable->what()};
    for (const std::string& line : has.unreadable->evidence()) out.evidence.push_back(line);
    out.hint = "make the initramfs anew";
  } else {
    out.what = "kernel " + kernel.version + " cannot reach a virtio disk when it starts";
    out.evidence = {(kernel.initramfs.empty() ? "no initramfs, and modules: " : kernel.initramfs + " lacks: ") +
                    joined(lacks.early)};
    out.hint = "add them to the initramfs";
    out.mendable = tool != Tool::none;
  }
  return out;
}

Mended made_anew(const std::vector<std::string>& names, const char* file) {
  return {.done = {{.code = std::string(code::no_virtio),
                    .what = "mended: every initramfs was made anew with " + joined(names),
                    .evidence = {file}}}};
}

/// The early drivers that are modules of some kernel: dracut complains of others.
std::vector<std::string> wanted(Guest& g) {
  std::vector<Has> kernels;
  for (const Kernel& kernel : kernels_of(g)) kernels.push_back(look_into(g, kernel));
  std::vector<std::string> out;
  for (const Driver& driver : drivers)
    if (std::ranges::any_of(kernels, [&](const Has& has) { return has.needs_early(driver); }))
      out.emplace_back(driver.module);
  return out;
}

Mended tell_initramfs_tools(Guest& g, const std::vector<std::string>& names) {
  const std::optional<std::string> before = g.exists(tools_modules) ? text_of(g, tools_modules) : "";
  if (!before)
    return {.not_done = {{.code = std::string(code::no_virtio),
                          .what = "no initramfs was made anew: its list of modules cannot be read",
                          .evidence = {tools_modules}}}};
  std::string added = before->empty() || before->ends_with('\n') ? "" : "\n";
  for (const std::string& name : names)
    if (("\n" + *before + "\n").find("\n" + name + "\n") == std::string::npos) added += name + "\n";
  g.make_directory("/etc/initramfs-tools");
  g.write(tools_modules, *before + added);
  g.run(std::string(with_time_limit) + "update-initramfs -u -k all");
  return made_anew(names, tools_modules);
}

Mended tell_dracut(Guest& g, const std::vector<std::string>& names) {
  std::string line = "add_drivers+=\"";
  for (const std::string& name : names) line += " " + name;
  g.make_directory("/etc/dracut.conf.d");
  g.write(dracut_file, line + " \"\n");
  g.run(std::string(with_time_limit) + "dracut --force --regenerate-all");
  return made_anew(names, dracut_file);
}

}  // namespace

Findings look_at_kernels(const System& system) {
  Guest& g = system.guest;
  const std::vector<Kernel> kernels = kernels_of(g);
  if (kernels.empty())
    return {{.code = std::string(code::no_boot_loader),
             .severity = Severity::warning,
             .what = "the system has no kernel",
             .evidence = {"/boot/vmlinuz-*: nothing of this name"},
             .hint = "import a disk that a machine was started from, not the tree of a container"}};
  if (system.arch == "s390x") return {};  // has virtio on channels, and no PCI
  Findings out;
  const Tool tool = tool_of(g);
  for (const Kernel& kernel : kernels) {
    Has has = look_into(g, kernel);
    look_into_initramfs(system, kernel, has);
    const Lacks lacks = lacks_of(has);
    if (!lacks.kernel.empty() || !lacks.early.empty()) out.push_back(finding_for(kernel, has, lacks, tool));
  }
  return out;
}

Mended mend_kernels(const System& system) {
  Guest& g = system.guest;
  const std::vector<std::string> names = wanted(g);
  const Tool tool = tool_of(g);
  if (names.empty() || tool == Tool::none) return {};
  return tool == Tool::dracut ? tell_dracut(g, names) : tell_initramfs_tools(g, names);
}

}  // namespace kiln::preflight

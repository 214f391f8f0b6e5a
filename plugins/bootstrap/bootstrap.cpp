#include <kiln/plugin.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "recipe.h"

namespace kiln {
namespace {

struct Params {
  std::string suite = "bookworm";
  std::optional<std::string> mirror;
  Bytes size{4ull << 30};
  std::vector<std::string> packages;
  std::string kernel = "linux-image-cloud-amd64";
  std::string hostname = "debian";
  std::optional<std::string> root_password;
  std::vector<std::string> ssh_keys;
};

constexpr std::uint64_t least_size = 2ull << 30;  // the default system needs 1.2 GiB, and room to be customized
constexpr const char* sbin_path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What makes a machine of a Debian: it starts under both firmwares, has a network, and can be reached and prepared.
constexpr std::array base_packages{
    "systemd-sysv",       "udev",           "dbus",
    "initramfs-tools",    "zstd",           "e2fsprogs",
    "grub-pc-bin",        "grub2-common",   "cloud-init",
    "grub-efi-amd64-bin", "openssh-server", "systemd-resolved",
    "qemu-guest-agent",   "sudo",           "cloud-guest-utils",
    "iproute2",
};

/// The tree is configured without an initramfs; the recipe makes it once, at the end, instead of once per package.
constexpr const char* no_initramfs_yet =
    R"(mkdir -p "$1/etc/initramfs-tools" && echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf")";

bool made_of(std::string_view text, std::string_view others) {
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || others.find(c) != std::string_view::npos;
  };
  return !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), fits);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) lines.push_back(line);
  return lines;
}

/// "deb URI SUITE main" for each source of this host's own apt that serves the suite: it is the one that is known to be
/// reachable from here. None when the host is another distribution; mmdebstrap then takes its default.
std::vector<std::string> sources_of_host(Context& ctx, const std::string& suite) {
  const std::string all =
      ctx.exec({.program = "apt-get",
                .args = {"indextargets", "--format", "$(RELEASE)|$(COMPONENT)|deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
                         "Created-By: Packages"}});
  std::vector<std::string> sources;
  for (const std::string& line : lines_of(all))
    for (const char* part : {"", "-updates", "-security"})
      if (const std::string prefix = suite + part + "|main|"; line.starts_with(prefix))
        if (const std::string source = line.substr(prefix.size());
            std::find(sources.begin(), sources.end(), source) == sources.end())
          sources.push_back(source);
  return sources;
}

/// How this host reaches its mirrors: proxies, retries, tolerance of an old snapshot.
std::vector<std::string> transport_options(Context& ctx) {
  static constexpr std::array wanted{"Acquire::http::",  "Acquire::https::",           "Acquire::ftp::",
                                     "Acquire::Retries", "Acquire::Check-Valid-Until", "Acquire::Check-Date"};
  std::vector<std::string> options;
  for (const std::string& line :
       lines_of(ctx.exec({.program = "apt-config", .args = {"dump", "--format", "%F \"%v\"%n"}})))
    if (std::any_of(wanted.begin(), wanted.end(), [&](const char* name) { return line.starts_with(name); }))
      options.push_back("--aptopt=" + line);
  return options;
}

std::string joined(const std::vector<std::string>& items, char separator) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : std::string(1, separator)) + item;
  return text;
}

/// As mmdebstrap takes its hooks' words apart.
std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> environment(Context& ctx, const Params& p) {
  std::vector<std::string> out{sbin_path, "KILN_SIZE=" + std::to_string(p.size.count), "KILN_HOSTNAME=" + p.hostname,
                               "KILN_ROOT_PASSWORD=" + p.root_password.value_or(""),
                               "KILN_SSH_KEYS=" + joined(p.ssh_keys, '\n')};
  for (const char* name : {"http_proxy", "https_proxy", "no_proxy"})
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  // Without root the tree belongs to another user id, who cannot walk through a private folder.
  if (::geteuid() == 0)
    out.push_back("TMPDIR=" + ctx.scratch().string());
  else if (std::getenv("TMPDIR") == nullptr)
    out.emplace_back("TMPDIR=/var/tmp");
  return out;
}

/// As root mmdebstrap mounts and starts processes on the host itself. In namespaces of its own, all of them end with
/// it, also when kiln is killed. Without root it makes namespaces by itself, and after a kill it runs there to its end.
Command contained(Command command) {
  if (::geteuid() != 0) return command;
  command.args.insert(command.args.begin(),
                      {"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", command.program});
  command.program = "unshare";
  return command;
}

class Bootstrap final : public StageOf<Params, Role::source> {
 public:
  Bootstrap()
      : StageOf({.name = "bootstrap",
                 .summary = "Make a bootable Debian disk (BIOS and UEFI) from Debian's packages.",
                 .needs = {"mmdebstrap", "unshare", "sfdisk", "mke2fs", "mkfs.vfat", "mcopy", "qemu-img"}},
                {{"suite", &Params::suite, "Debian release, for example \"bookworm\"."},
                 {"mirror", &Params::mirror, "Where packages come from. Default: the apt sources of this host."},
                 {"size", &Params::size, "Virtual size; the root file system takes all of it."},
                 {"packages", &Params::packages, "Packages to install in addition."},
                 {"kernel", &Params::kernel, "Kernel package."},
                 {"hostname", &Params::hostname, "Name of the machine."},
                 {"root_password", &Params::root_password, "Password of root. Default: root cannot log in with one.",
                  secret},
                 {"ssh_keys", &Params::ssh_keys, "Public keys, as lines, that may log in as root."}}) {}

 protected:
  void check(const Params& p, Check& check) const override {
    if (!made_of(p.suite, "-."))
      check.problem("suite", "\"" + p.suite + "\" is not a release name", "try \"bookworm\"");
    if (p.mirror && p.mirror->find("://") == std::string::npos)
      check.problem("mirror", "\"" + *p.mirror + "\" is not a URL", "write it as http://, https:// or file://");
    if (p.size.count < least_size)
      check.problem("size", "a Debian system does not fit into " + format_bytes(p.size.count), "give at least \"2G\"");
    else if (p.size.count % (1u << 20) != 0)
      check.problem("size", "the size is not a multiple of 1 MiB");
    for (std::size_t i = 0; i < p.packages.size(); ++i)
      if (!made_of(p.packages[i], "+-.:"))
        check.problem("packages[" + std::to_string(i) + "]", "\"" + p.packages[i] + "\" is not a package name");
    if (!made_of(p.kernel, "+-.")) check.problem("kernel", "\"" + p.kernel + "\" is not a package name");
    if (!made_of(p.hostname, "-.") || p.hostname.size() > 63)
      check.problem("hostname", "\"" + p.hostname + "\" is not a host name",
                    "use at most 63 of a-z, 0-9, \"-\" and \".\"");
    if (p.root_password && p.root_password->find_first_of("\r\n") != std::string::npos)
      check.problem("root_password", "a password must be a single line");
    for (std::size_t i = 0; i < p.ssh_keys.size(); ++i)
      if (p.ssh_keys[i].find(' ') == std::string::npos || p.ssh_keys[i].find('\n') != std::string::npos)
        check.problem("ssh_keys[" + std::to_string(i) + "]", "this is not one line of a public key file");
  }

  void run(Context& ctx, const Params& p) const override {
    ctx.produce_empty(p.size.count);
    ctx.progress({.unit = Progress::Unit::fraction, .what = "installing packages"});
    ctx.exec(contained({.program = "mmdebstrap", .args = arguments(ctx, p), .environment = environment(ctx, p)}));
    ctx.facts().insert_or_assign("arch", "x86_64");
    ctx.facts().insert_or_assign("boot.firmware", "bios,uefi");
    ctx.facts().insert_or_assign("os.type", "linux");
    ctx.facts().insert_or_assign("os.distro", "debian");
    ctx.facts().insert_or_assign("os.hostname", p.hostname);
    ctx.facts().insert_or_assign("source.kind", "bootstrap");
    ctx.facts().insert_or_assign("source.suite", p.suite);
    ctx.summary("Debian " + p.suite + ", " + format_bytes(p.size.count) + ", BIOS and UEFI");
  }

 private:
  static std::vector<std::string> arguments(Context& ctx, const Params& p) {
    std::vector<std::string> packages(base_packages.begin(), base_packages.end());
    packages.push_back(p.kernel);
    packages.insert(packages.end(), p.packages.begin(), p.packages.end());
    // No fsync per package: a tree that is not finished is thrown away. The recipe's file wins over the package's.
    std::vector<std::string> args{"--variant=minbase",
                                  "--format=null",
                                  "--architectures=amd64",
                                  "--aptopt=APT::Install-Recommends \"false\"",
                                  "--dpkgopt=force-unsafe-io",
                                  "--dpkgopt=force-confold",
                                  "--include=" + joined(packages, ','),
                                  "--essential-hook=" + std::string(no_initramfs_yet),
                                  "--customize-hook=" + std::string(recipe),
                                  "--customize-hook=download /tmp/kiln/disk.qcow2 " + quoted(ctx.disk().file.string())};
    for (std::string& option : transport_options(ctx)) args.push_back(std::move(option));
    args.push_back(p.suite);
    args.emplace_back("-");
    const auto sources = p.mirror ? std::vector<std::string>{*p.mirror} : sources_of_host(ctx, p.suite);
    args.insert(args.end(), sources.begin(), sources.end());
    return args;
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Bootstrap)

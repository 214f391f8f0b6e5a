#include "cli/launch_spec.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <kiln/file.h>

namespace kiln::cli {
namespace {

std::optional<std::uint16_t> port_in(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

void choose_host(const Args& args, LaunchSpec& spec) {
  spec.connect = args.text("connect");
  spec.driver = args.has("driver") ? args.text("driver") : spec.connect.empty() ? "qemu" : "libvirt";
  if (spec.driver != "qemu" && spec.driver != "libvirt")
    throw invalid(fmt::format("there is no driver \"{}\"", spec.driver), "--driver takes qemu or libvirt");
  if (spec.driver == "qemu" && args.has("connect"))
    throw invalid("--connect names a host of libvirt", "leave it out, or give --driver libvirt");
}

}  // namespace

PortForward port_forward(const std::string& text, std::string_view option) {
  const std::size_t colon = text.find(':');
  const std::string_view of_host = std::string_view(text).substr(0, colon);
  const auto host = of_host == "auto" ? std::uint16_t{0} : port_in(of_host);
  const auto guest = colon == std::string::npos ? std::nullopt : port_in(std::string_view(text).substr(colon + 1));
  if (host && guest) return {*host, *guest};
  throw invalid(fmt::format("{} takes HOST:GUEST, two ports from 1 to 65535, not \"{}\"", option, text),
                "for example 2222:22, or auto:22 for any port of the host that is free");
}

std::vector<std::string> public_keys(const std::filesystem::path& file) {
  std::vector<std::string> keys;
  const std::string text = read_text(file, 1 << 16);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    if (line.find("PRIVATE KEY") != std::string::npos)
      throw refused(fmt::format("{} is a private key", file.string()),
                    fmt::format("give its public half: {}.pub", file.string()));
    keys.push_back(std::move(line));
  }
  if (keys.empty())
    throw invalid(fmt::format("{} holds no public key", file.string()), "ssh-keygen -t ed25519 makes one");
  return keys;
}

LaunchSpec launch_spec(const Args& args) {
  LaunchSpec spec;
  spec.name = args.text("name");
  spec.count = static_cast<unsigned>(args.integer("count", 1, 1, 500));
  spec.memory = args.size("memory", spec.memory);
  spec.cpus = args.has("cpus") ? static_cast<unsigned>(args.integer("cpus", 2, 1, 255)) : 0;
  spec.disk_size = args.size("disk-size", Bytes{0}).count;
  spec.disk_bus = args.text("disk-bus");
  spec.nic = args.text("nic");
  spec.network = args.text("network");
  spec.firmware = args.text("firmware");
  for (const std::string& port : args.all("port")) spec.ports.push_back(port_forward(port, "--port"));
  for (const std::string& file : args.all("ssh-key"))
    for (std::string& key : public_keys(file)) spec.ssh_keys.push_back(std::move(key));
  if (args.has("user-data")) spec.user_data = read_text(args.text("user-data"), 1 << 20);
  spec.token = args.text("token");
  spec.stopped = args.has("stopped");
  spec.overcommit = args.has("overcommit");
  choose_host(args, spec);
  return spec;
}

}  // namespace kiln::cli

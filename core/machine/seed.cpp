#include "machine/seed.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include <kiln/error.h>

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using nlohmann::json;

using Archive = std::unique_ptr<archive, decltype(&archive_write_free)>;
using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

void expect_ok(archive* a, int result, const char* doing) {
  if (result == ARCHIVE_OK) return;
  const char* words = archive_error_string(a);
  throw Error(std::string("cannot ") + doing + " the seed image" + (words ? std::string(": ") + words : ""));
}

void add_file(archive* a, const char* name, const std::string& text) {
  const Entry entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), name);
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0444);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(text.size()));
  expect_ok(a, archive_write_header(a, entry.get()), "write");
  if (archive_write_data(a, text.data(), text.size()) != static_cast<la_ssize_t>(text.size()))
    expect_ok(a, ARCHIVE_FATAL, "write");
}

}  // namespace

std::string meta_data(const Seed& seed) {
  json meta{{"instance-id", seed.instance_id}};
  if (!seed.hostname.empty()) meta["local-hostname"] = seed.hostname;
  return meta.dump(2) + "\n";
}

std::string user_data(const Seed& seed) {
  if (!seed.user_data.empty()) return seed.user_data;
  json config = json::object();
  if (!seed.ssh_keys.empty()) config["ssh_authorized_keys"] = seed.ssh_keys;
  return "#cloud-config\n" + config.dump(2) + "\n";
}

std::string vendor_data(const Seed& seed) {
  json config{{"ssh_deletekeys", true}};
  if (!seed.random.empty()) config["random_seed"] = {{"file", "/dev/urandom"}, {"data", seed.random}};
  if (!seed.uuid.empty()) {
    std::string id = seed.uuid;
    std::erase(id, '-');
    // Only a machine-id that came with the image: one that systemd just made is this machine's own.
    const std::string script = "[ ! -s /etc/machine-id ] || [ -e /run/machine-id ] || echo " + id + " >/etc/machine-id";
    config["bootcmd"] =
        json::array({json::array({"cloud-init-per", "instance", "kiln-machine-id", "sh", "-c", script})});
  }
  return "#cloud-config\n" + config.dump(2) + "\n";
}

void check_ssh_key(const std::string& line) {
  constexpr std::array<std::string_view, 4> kinds{"ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"};
  const bool kind = std::any_of(kinds.begin(), kinds.end(), [&](std::string_view k) { return line.starts_with(k); });
  const bool printable =
      std::all_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; });
  if (kind && printable && line.find(' ') != std::string::npos) return;
  const bool is_secret = line.find("PRIVATE KEY") != std::string::npos;
  throw invalid(is_secret ? "this is a private ssh key" : "this is no public ssh key line",
                is_secret ? "give the .pub file beside it" : "a line begins with its kind, for example ssh-ed25519");
}

void write_seed(const std::filesystem::path& file, const Seed& seed) {
  for (const std::string& key : seed.ssh_keys) check_ssh_key(key);
  const Archive iso(archive_write_new(), archive_write_free);
  expect_ok(iso.get(), archive_write_set_format_iso9660(iso.get()), "make");
  expect_ok(iso.get(), archive_write_set_options(iso.get(), "iso9660:volume-id=CIDATA"), "name");
  expect_ok(iso.get(), archive_write_open_filename(iso.get(), file.c_str()), "open");
  add_file(iso.get(), "meta-data", meta_data(seed));
  add_file(iso.get(), "user-data", user_data(seed));
  add_file(iso.get(), "vendor-data", vendor_data(seed));
  expect_ok(iso.get(), archive_write_close(iso.get()), "finish");
}

}  // namespace kiln

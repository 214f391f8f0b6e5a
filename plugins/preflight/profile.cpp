#include "profile.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include <toml++/toml.h>

#include <kiln/file.h>
#include <kiln/text.h>
#include <kiln/value.h>

namespace kiln::preflight {
namespace {

namespace fs = std::filesystem;

/// What the checks of a guest find.
constexpr std::array<std::string_view, 13> guest_codes{
    code::no_cloud_init,  code::no_partition,     code::no_root,       code::no_virtio,      code::fstab_foreign,
    code::fstab_unstable, code::no_uefi_fallback, code::secrets,       code::static_network, code::vendor_tools,
    code::encrypted,      code::unsupported,      code::no_boot_loader};

/// <prefix>/lib…/kiln/plugins/kiln-stage-preflight.so belongs to <prefix>/share/kiln/profiles.
fs::path installed() {
  static const char here = 0;
  Dl_info info{};
  if (::dladdr(&here, &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  for (fs::path folder = fs::absolute(info.dli_fname, error).parent_path(); folder != folder.parent_path();
       folder = folder.parent_path())
    if (fs::is_directory(folder / "share/kiln/profiles", error)) return folder / "share/kiln/profiles";
  return {};
}

std::vector<fs::path> folders() {
  std::vector<fs::path> out;
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (data != nullptr && *data == '/')
    out.push_back(fs::path(data) / "kiln/profiles");
  else if (home != nullptr && *home == '/')
    out.push_back(fs::path(home) / ".local/share/kiln/profiles");
  if (const fs::path own = installed(); !own.empty()) out.push_back(own);
  return out;
}

std::vector<std::string> names() {
  std::set<std::string> found;
  for (const fs::path& folder : folders()) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error))
      if (entry.path().extension() == ".toml") found.insert(entry.path().stem().string());
  }
  return {found.begin(), found.end()};
}

std::string listed(const std::vector<std::string>& all) {
  std::string out;
  for (const std::string& one : all) out += (out.empty() ? "" : ", ") + one;
  return out;
}

/// Reads one table, and refuses what is left in it.
class Reader {
 public:
  Reader(const fs::path& file, const toml::table* table, std::string prefix)
      : file_(file), table_(table), prefix_(std::move(prefix)) {}

  const toml::node* take(const std::string& key) {
    known_.push_back(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  std::string text(const std::string& key) {
    const toml::node* node = take(key);
    if (node == nullptr) return {};
    const auto value = node->value<std::string>();
    if (!value) throw wrong(key, "takes a text", node);
    return *value;
  }
  std::optional<std::uint64_t> bytes(const std::string& key) {
    const toml::node* node = take(key);
    if (node == nullptr) return std::nullopt;
    if (node->is_string()) {
      if (const auto size = parse_bytes(**node->as_string())) return size->count;
    } else if (const auto number = node->value_exact<std::int64_t>(); number && *number >= 0) {
      return static_cast<std::uint64_t>(*number);
    }
    throw wrong(key, "takes a size such as \"50G\"", node);
  }
  std::optional<std::int64_t> count(const std::string& key) {
    const toml::node* node = take(key);
    if (node == nullptr) return std::nullopt;
    const auto number = node->value_exact<std::int64_t>();
    if (!number || *number < 1) throw wrong(key, "takes a number of 1 or more", node);
    return number;
  }
  std::vector<std::string> texts(const std::string& key) {
    const toml::node* node = take(key);
    if (node == nullptr) return {};
    if (!node->is_array()) throw wrong(key, "takes a list of texts", node);
    std::vector<std::string> out;
    for (const toml::node& item : *node->as_array()) {
      const auto value = item.value_exact<std::string>();
      if (!value) throw wrong(key, "takes a list of texts", &item);
      out.push_back(*value);
    }
    return out;
  }
  /// Codes of the guest's checks.
  std::set<std::string, std::less<>> codes(const std::string& key) {
    std::set<std::string, std::less<>> out;
    const std::vector<std::string> all(guest_codes.begin(), guest_codes.end());
    for (const std::string& name : texts(key)) {
      if (std::ranges::find(all, name) == all.end()) {
        const auto near = nearest(name, all);
        throw invalid(where(take(key)) + ": no check finds \"" + printable(name, 64) + '"',
                      near ? "did you mean \"" + *near + "\"?" : "the checks find " + listed(all));
      }
      out.insert(name);
    }
    return out;
  }
  Reader table(const std::string& key) {
    const toml::node* node = take(key);
    if (node != nullptr && !node->is_table()) throw wrong(key, "is a table", node);
    return {file_, node == nullptr ? nullptr : node->as_table(), prefix_ + key + '.'};
  }
  void refuse_others() const {
    if (table_ == nullptr) return;
    for (const auto& [key, node] : *table_) {
      const std::string name(key.str());
      if (std::ranges::find(known_, name) != known_.end()) continue;
      const auto near = nearest(name, known_);
      throw invalid(where(&node) + ": a profile has no key \"" + prefix_ + printable(name, 64) + '"',
                    near ? "did you mean \"" + *near + "\"?" : "here it takes " + listed(known_));
    }
  }

 private:
  std::string where(const toml::node* node) const {
    return file_.string() + ':' + std::to_string(node->source().begin.line);
  }
  Error wrong(const std::string& key, const char* what, const toml::node* node) const {
    return invalid(where(node) + ": \"" + prefix_ + key + "\" " + what);
  }

  const fs::path& file_;
  const toml::table* table_;
  std::string prefix_;
  std::vector<std::string> known_;
};

Profile profile_of(const fs::path& file, const toml::table& table) {
  Profile out;
  out.name = file.stem().string();
  Reader top(file, &table, "");
  out.summary = top.text("summary");
  Reader limits = top.table("limits");
  out.file_size = limits.bytes("file_size");
  out.virtual_size = limits.bytes("virtual_size");
  out.disks = limits.count("disks");
  out.formats = limits.texts("formats");
  out.firmware = limits.texts("firmware");
  Reader guest = top.table("guest");
  out.required = guest.codes("required");
  out.security = guest.codes("security");
  for (const Reader* reader : {&top, &limits, &guest}) reader->refuse_others();
  return out;
}

std::string fact(const Facts& facts, std::string_view name) {
  const auto it = facts.find(name);
  return it == facts.end() ? "" : it->second;
}

bool has_any(const std::vector<std::string>& list, const std::string& comma_separated) {
  return std::ranges::any_of(list, [&](const std::string& one) {
    return ("," + comma_separated + ",").find("," + one + ",") != std::string::npos;
  });
}

std::string sized(std::uint64_t bytes) {
  return std::to_string(bytes) + " bytes (" + format_bytes(bytes) + ')';
}

/// A raw file is as large as its disk, however little it holds; what a service stores of it is less.
void look_at_file_size(const Profile& profile, const Facts& facts, Findings& out) {
  const std::string text = fact(facts, "source.size");
  if (!profile.file_size || text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return;
  const std::uint64_t size = std::stoull(text);
  if (size <= *profile.file_size) return;
  const bool raw = fact(facts, "source.format") == "raw";
  out.push_back({.code = std::string(code::invalid_size),
                 .severity = raw ? Severity::warning : Severity::error,
                 .what = raw ? "the file may be larger than " + profile.name + " takes, once it is converted"
                             : "the file is larger than " + profile.name + " takes",
                 .evidence = {"source.size: " + sized(size), "limit: " + sized(*profile.file_size)},
                 .hint = "remove what the image need not have, such as logs and caches, and give its free space back: "
                         "fstrim, or the stage sysprep"});
}

void look_at_disks(const Profile& profile, std::uint64_t virtual_size, std::size_t disks, Findings& out) {
  if (profile.virtual_size && virtual_size > *profile.virtual_size)
    out.push_back({.code = std::string(code::disk_too_large),
                   .severity = Severity::error,
                   .what = "the disk is larger than " + profile.name + " takes",
                   .evidence = {"virtual size: " + sized(virtual_size), "limit: " + sized(*profile.virtual_size)},
                   .hint = "move the system to a smaller disk, for example with virt-resize --shrink"});
  if (profile.disks && disks > static_cast<std::size_t>(*profile.disks))
    out.push_back({.code = std::string(code::disk_too_large),
                   .severity = Severity::error,
                   .what = "the machine has more disks than " + profile.name + " takes",
                   .evidence = {std::to_string(disks) + " disks", "limit: " + std::to_string(*profile.disks)},
                   .hint = "import the disks that are too many on their own"});
}

}  // namespace

fs::path profile_file(const std::string& name) {
  if (name.find('/') != std::string::npos || name.ends_with(".toml")) {
    std::error_code error;
    if (!fs::is_regular_file(name, error)) throw invalid("there is no profile " + printable(name));
    return fs::absolute(name);
  }
  std::error_code error;
  if (!name.empty() && name[0] != '.')
    for (const fs::path& folder : folders())
      if (const fs::path file = folder / (name + ".toml"); fs::is_regular_file(file, error)) return file;
  const std::vector<std::string> all = names();
  const auto near = nearest(name, all);
  throw invalid("there is no profile \"" + printable(name, 64) + '"',
                (near ? "did you mean \"" + *near + "\"? there are " : "there are ") + listed(all));
}

Profile read_profile(const fs::path& file) {
  const std::string text = read_text(file, 1u << 20);
  try {
    return profile_of(file, toml::parse(text, file.string()));
  } catch (const toml::parse_error& error) {
    throw invalid(file.string() + ':' + std::to_string(error.source().begin.line) + ": " +
                  std::string(error.description()));
  }
}

Findings look_at_limits(const Profile& profile, const Facts& facts, std::uint64_t virtual_size, std::size_t disks) {
  Findings out;
  look_at_disks(profile, virtual_size, disks, out);
  look_at_file_size(profile, facts, out);
  const std::string firmware = fact(facts, "boot.firmware");
  if (!profile.firmware.empty() && !firmware.empty() && !has_any(profile.firmware, firmware))
    out.push_back({.code = std::string(code::unsupported),
                   .severity = Severity::error,
                   .what = "the disk starts with a firmware that " + profile.name + " has not",
                   .evidence = {"boot.firmware: " + firmware, "taken: " + listed(profile.firmware)},
                   .hint = "install a boot loader for the other one"});
  const std::string format = fact(facts, "source.format");
  if (!profile.formats.empty() && !format.empty() && !has_any(profile.formats, format))
    out.push_back({.code = std::string(code::invalid_size),
                   .severity = Severity::note,
                   .what = profile.name + " does not take the format of this file",
                   .evidence = {"source.format: " + format, "taken: " + listed(profile.formats)},
                   .hint = "write the image in one of them: kiln image export IMAGE FILE"});
  return out;
}

void judge(const Profile& profile, Finding& finding) {
  if (finding.severity == Severity::note) return;
  if (profile.required.contains(finding.code)) finding.severity = std::max(finding.severity, Severity::error);
  if (profile.security.contains(finding.code)) finding.severity = Severity::security;
}

}  // namespace kiln::preflight

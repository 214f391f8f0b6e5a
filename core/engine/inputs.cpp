#include "engine/inputs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include <kiln/file.h>
#include <kiln/hash.h>

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

struct stat stat_of(const fs::path& path, bool follow) {
  struct stat st {};
  if ((follow ? ::stat(path.c_str(), &st) : ::lstat(path.c_str(), &st)) != 0)
    throw system_error("cannot read " + path.string(), errno, "is the path right?");
  return st;
}

std::int64_t to_ns(const timespec& t) {
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

std::string identity(const struct stat& st) {
  return fmt::format("{}:{}:{}:{}:{}", st.st_dev, st.st_ino, st.st_size, to_ns(st.st_mtim), to_ns(st.st_ctim));
}

/// A file that was written a moment ago may be written again within the same tick of its time stamps.
bool may_still_change(const struct stat& st) {
  using namespace std::chrono;
  const auto now = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  return now - to_ns(st.st_ctim) < 50'000'000;
}

}  // namespace

std::string identity_of(const fs::path& path) {
  return identity(stat_of(path, true));
}

InputDigests::InputDigests(fs::path file) : file_(std::move(file)) {
  std::error_code error;
  if (!fs::exists(file_, error)) return;
  try {
    const nlohmann::json json = nlohmann::json::parse(read_text(file_));
    for (const auto& [path, entry] : json.items()) known_[path] = {entry.at(0), entry.at(1)};
  } catch (const std::exception&) {  // a damaged cache is an empty one
    known_.clear();
  }
}

std::string InputDigests::of_file(const fs::path& path) {
  const struct stat st = stat_of(path, true);
  if (!S_ISREG(st.st_mode)) throw invalid(path.string() + " is neither a file nor a folder", "give a regular file");
  const std::string now = identity(st);
  const auto it = known_.find(path.string());
  if (it != known_.end() && it->second.identity == now) return it->second.digest;
  const std::string digest = hash_file(path);
  if (!may_still_change(st)) {
    known_[path.string()] = {now, digest};
    changed_ = true;
  }
  return digest;
}

std::string InputDigests::digest(const fs::path& path) {
  const struct stat top = stat_of(path, true);
  Hasher hasher;
  hasher.update("kiln-input-1\n");
  const auto add = [&](const std::string& name, const fs::path& file) {
    const struct stat st = stat_of(file, file == path);
    hasher.update(fmt::format("{:o} {} ", st.st_mode & 07777, name.size())).update(name).update(" ");
    if (S_ISLNK(st.st_mode)) {
      hasher.update("link ").update(fs::read_symlink(file).string());
    } else if (!S_ISDIR(st.st_mode)) {
      hasher.update(of_file(file));
    }
    hasher.update("\n");
  };
  add("", path);
  if (S_ISDIR(top.st_mode)) {
    std::vector<fs::path> all;
    for (const auto& entry : fs::recursive_directory_iterator(path)) all.push_back(entry.path());
    std::ranges::sort(all);
    for (const fs::path& file : all) add(file.lexically_relative(path).string(), file);
  }
  return hasher.hex();
}

std::string InputDigests::digest_secret(const std::string& text) {
  if (!salt_) {
    const fs::path salt = file_.parent_path() / "salt";
    std::error_code error;
    // A plan makes no home, and there nothing was ever sealed.
    if (!fs::exists(salt, error) && fs::exists(file_.parent_path(), error)) {
      std::random_device random;
      std::string fresh;
      for (int i = 0; i < 8; ++i) fresh += fmt::format("{:08x}", random());
      write_text(salt, fresh);
    }
    salt_ = fs::exists(salt, error) ? read_text(salt) : std::string();
  }
  return to_hex(sha256(*salt_ + text));
}

void InputDigests::save() noexcept {
  if (!changed_) return;
  try {
    nlohmann::json json = nlohmann::json::object();
    for (const auto& [path, known] : known_) json[path] = {known.identity, known.digest};
    write_text(file_, json.dump(0, ' ', false, nlohmann::json::error_handler_t::replace));
    changed_ = false;
  } catch (const std::exception&) {  // the next run hashes again
  }
}

}  // namespace kiln::engine

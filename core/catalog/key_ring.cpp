#include "catalog/key_ring.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <kiln/file.h>
#include <kiln/value.h>

#include "catalog/names.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t largest_file = 1 << 16;
constexpr const char *own_ending = ".pem", *trusted_ending = ".pub";

SigningKey read_own(const fs::path& file) {
  return SigningKey::parse(read_text(file, largest_file), file.string());
}

RingKey read_key(const fs::path& file) {
  const bool own = file.extension() == own_ending;
  return {file.stem(),
          own ? read_own(file).public_key() : PublicKey::parse(read_text(file, largest_file), file.string()), own};
}

void make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw system_error("cannot make the folder of keys " + folder.string(), errno);
}

}  // namespace

fs::path KeyRing::file_of(const std::string& name, bool is_own) const {
  return folder_ / (name + (is_own ? own_ending : trusted_ending));
}

std::vector<RingKey> KeyRing::keys() const {
  std::vector<RingKey> out;
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, missing)) {
    const fs::path& file = entry.path();
    // Names that begin with a dot are keys that are just being written.
    if (file.filename().string().starts_with('.')) continue;
    if (file.extension() == own_ending || file.extension() == trusted_ending) out.push_back(read_key(file));
  }
  if (missing && missing != std::errc::no_such_file_or_directory)
    throw system_error("cannot read the folder of keys " + folder_.string(), missing.value());
  std::ranges::sort(out, {}, &RingKey::name);
  return out;
}

RingKey KeyRing::get(const std::string& name) const {
  std::vector<std::string> names;
  for (RingKey& key : keys()) {
    if (key.name == name) return std::move(key);
    names.push_back(key.name);
  }
  const auto near = nearest(name, names);
  throw invalid("there is no key \"" + name + '"',
                near ? "did you mean \"" + *near + "\"?" : "see which keys there are: kiln key list");
}

SigningKey KeyRing::signing_key(const std::string& name) const {
  if (!get(name).is_own)
    throw invalid("key \"" + name + "\" is somebody else's: only its public half is here",
                  "sign with a key of your own: kiln key new --name NAME");
  const fs::path file = file_of(name, true);
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) throw system_error("cannot read " + file.string(), errno);
  if ((status.st_mode & 077) != 0)
    throw refused("the private key " + file.string() + " can be read by other users",
                  "chmod 600 " + file.string() + ", and make a new key if somebody may have read it");
  return read_own(file);
}

void KeyRing::require_free(const std::string& name) const {
  require_name("key name", name);
  for (const RingKey& key : keys())
    if (key.name == name)
      throw invalid("there is a key \"" + name + "\" already", "give another --name; see kiln key list");
}

void KeyRing::store(const fs::path& file, const std::string& pem) const {
  make_folder(folder_);
  const fs::path staged = folder_ / ("." + file.filename().string() + "." + std::to_string(::getpid()));
  const int fd = ::open(staged.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw system_error("cannot create " + staged.string(), errno);
  ::close(fd);
  int failure = 0;
  try {
    File writing = File::open_write(staged);
    writing.write_at(0, std::as_bytes(std::span(pem)));
    writing.sync();
    // A link, unlike a rename, never takes the place of a key that somebody made meanwhile.
    if (::link(staged.c_str(), file.c_str()) != 0) failure = errno;
  } catch (...) {
    ::unlink(staged.c_str());
    throw;
  }
  ::unlink(staged.c_str());
  if (failure != 0) throw system_error("cannot write " + file.string(), failure);
  sync_directory(folder_);
}

RingKey KeyRing::make(const std::string& name) {
  require_free(name);
  const SigningKey key = SigningKey::make();
  store(file_of(name, true), key.pem());
  return {name, key.public_key(), true};
}

RingKey KeyRing::trust(const fs::path& file, const std::string& name) {
  require_free(name);
  const PublicKey key = PublicKey::parse(read_text(file, largest_file), file.string());
  for (const RingKey& known : keys())
    if (known.key.id() == key.id())
      throw invalid("the key of " + file.string() + " is here already, as \"" + known.name + '"',
                    "use that name; see kiln key list");
  store(file_of(name, false), key.pem());
  return {name, key, false};
}

}  // namespace kiln

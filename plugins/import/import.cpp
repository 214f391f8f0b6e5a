#include <sys/stat.h>

#include <cerrno>
#include <chrono>

#include <kiln/file.h>
#include <kiln/hash.h>
#include <kiln/layout.h>
#include <kiln/plugin.h>

#include "oci.h"

namespace kiln::import {
namespace {

namespace fs = std::filesystem;

struct Params {
  fs::path file;
  std::string format;
  std::string sha256;
  std::string tag;
};

/// What the file system says of a file: when this is the same, so is the content.
struct Identity {
  std::uint64_t device, inode, size;
  std::int64_t modified, changed;  // nanoseconds
  bool operator==(const Identity&) const = default;

  static Identity of(const struct stat& st) {
    const auto ns = [](const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; };
    return {st.st_dev, st.st_ino, static_cast<std::uint64_t>(st.st_size), ns(st.st_mtim), ns(st.st_ctim)};
  }
  std::string text() const {
    std::string out;
    for (const std::uint64_t n : {device, inode, size}) out += std::to_string(n) + ':';
    return out + std::to_string(modified) + ':' + std::to_string(changed);
  }
};

Identity identity_of(const File& file) {
  struct stat st {};
  if (::fstat(file.fd(), &st) != 0) throw system_error("cannot stat " + file.path().string(), errno);
  return Identity::of(st);
}

/// A file that must stay as it was when it was opened.
class SteadyFile {
 public:
  explicit SteadyFile(const fs::path& path) : file_(File::open_read(path)), identity_(identity_of(file_)) {}

  const File& file() const { return file_; }
  /// To be called after every reading. The format opened the file by its name, so the name is looked at too.
  void check() const {
    struct stat st {};
    if (!(identity_of(file_) == identity_) || ::stat(file_.path().c_str(), &st) != 0 ||
        !(Identity::of(st) == identity_))
      throw Error(file_.path().filename().string() + " was changed while it was read",
                  "wait until whoever writes it is done, then run again");
  }

 private:
  File file_;
  Identity identity_;
};

/// No byte and no hole is used that was read from another file, or from one that somebody writes to.
class SteadyDisk final : public BlockReader {
 public:
  SteadyDisk(SteadyFile file, std::shared_ptr<const BlockReader> disk)
      : file_(std::move(file)), disk_(std::move(disk)) {
    file_.check();
  }
  std::uint64_t size() const override { return disk_->size(); }
  Extent extent_at(std::uint64_t offset) const override {
    const Extent extent = disk_->extent_at(offset);
    file_.check();
    return extent;
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    disk_->read(offset, into);
    file_.check();
  }

 private:
  SteadyFile file_;
  std::shared_ptr<const BlockReader> disk_;
};

void verify(Context& ctx, const SteadyFile& steady, const std::string& expected) {
  const File& file = steady.file();
  Hasher hasher;
  const std::uint64_t size = file.size();
  std::vector<std::byte> buffer(1 << 20);
  for (std::uint64_t at = 0; at < size;) {
    const std::size_t n = std::min<std::uint64_t>(buffer.size(), size - at);
    file.read_at(at, std::span(buffer).first(n));
    hasher.update(std::span<const std::byte>(buffer).first(n));
    at += n;
    ctx.progress({Progress::Unit::bytes, static_cast<double>(at), static_cast<double>(size), "verifying sha256"});
  }
  steady.check();
  const std::string actual = hasher.hex();
  if (actual != expected)
    throw refused(file.path().filename().string() + " does not have the expected sha256",
                  "get the file again, or correct sha256 when a newer file is meant",
                  {"expected " + expected, "it is    " + actual});
}

class Import final : public StageOf<Params, Role::source> {
 public:
  Import()
      : StageOf({.name = "import", .summary = "Take a disk image file, from anywhere, as the disk."},
                {{"file", &Params::file,
                  "The disk image, or the folder of an OCI image layout. It is read, never changed.", required},
                 {"format", &Params::format, "Its format, such as \"vhd\". Default: recognised by the content."},
                 {"sha256", &Params::sha256,
                  "What sha256sum must print for the file; verified before anything is made of it."},
                 {"tag", &Params::tag, "Which image of an OCI image layout. Default: the only one."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    std::error_code error;
    const fs::file_status status = fs::status(p.file, error);
    if (!fs::exists(status)) {
      c.problem("file", "there is no file " + p.file.string(),
                "is the path right? in a pipeline a relative one starts at the pipeline's folder");
    } else if (is_oci_layout(p.file)) {
      check_layout(p, c);
      return;
    } else if (!fs::is_regular_file(status) && !fs::is_block_file(status)) {
      c.problem("file", p.file.string() + " is not a regular file", "give the path of a disk image file");
    }
    if (!p.tag.empty())
      c.problem("tag", "\"tag\" is for the folder of an OCI image layout, which " + p.file.string() + " is not",
                "leave it out");
    if (!p.sha256.empty() && !parse_digest(p.sha256))
      c.problem("sha256", "\"sha256\" takes 64 hexadecimal digits", "copy what sha256sum prints for the file");
    if (p.format.empty()) return;
    try {
      c.formats().get(p.format);
    } catch (const Error& unknown) {
      c.problem("format", unknown.what(), unknown.hint());
    }
  }

  std::string fingerprint(const Params& p) const override {
    if (is_oci_layout(p.file)) return oci_fingerprint(p.file, p.tag);
    struct stat st {};
    if (::stat(p.file.c_str(), &st) != 0) return "missing";
    // What is written to a device leaves no trace in its node: every kiln reads it anew.
    static const auto started = std::chrono::system_clock::now().time_since_epoch().count();
    if (S_ISBLK(st.st_mode)) return "device, read at " + std::to_string(started);
    return Identity::of(st).text();
  }

  void run(Context& ctx, const Params& p) const override {
    std::error_code error;
    const fs::path path = fs::canonical(p.file, error);
    if (error) throw system_error("cannot open " + p.file.string(), error.value());
    if (is_oci_layout(path)) return run_layout(ctx, path, p.tag);
    SteadyFile file(path);
    if (!p.sha256.empty()) verify(ctx, file, to_hex(*parse_digest(p.sha256)));

    const Format& format = p.format.empty() ? ctx.formats().detect(file.file()) : ctx.formats().get(p.format);
    const Inspection found = format.inspect(file.file());
    auto reader = format.open(file.file().again());
    if (p.format != "raw") refuse_nested(ctx.formats(), *reader, p.file.filename().string());
    for (const Finding& finding : found.findings) ctx.found(finding);
    const auto disk = std::make_shared<SteadyDisk>(std::move(file), std::move(reader));

    Facts& facts = ctx.facts();
    facts["source.kind"] = "import";
    facts["source.file"] = p.file.filename().string();
    facts["source.format"] = found.format;
    facts["source.size"] = std::to_string(found.file_size);
    if (!p.sha256.empty()) facts["source.sha256"] = to_hex(*parse_digest(p.sha256));
    note_layout(ctx, *disk);
    ctx.summary(p.file.filename().string() + "  " + found.format + (found.variant.empty() ? "" : " " + found.variant) +
                ", " + format_bytes(disk->size()));
    ctx.produce(disk);
  }

 private:
  /// Each blob of a layout is named by its digest, and kiln's own are in one format.
  static void check_layout(const Params& p, Check& c) {
    for (const auto& [name, value] : {std::pair("format", &p.format), std::pair("sha256", &p.sha256)})
      if (!value->empty())
        c.problem(name,
                  '"' + std::string(name) + "\" is for a file, and " + p.file.string() + " is an OCI image layout",
                  "leave it out: the content's digests are verified in any case");
  }

  static void run_layout(Context& ctx, const fs::path& folder, const std::string& tag) {
    const OciDisk found = open_oci(folder, tag, [&](std::uint64_t done, std::uint64_t total) {
      ctx.progress(
          {Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(total), "verifying the layout"});
    });
    Facts& facts = ctx.facts();
    for (const auto& [name, value] : found.facts) facts[name] = value;
    facts["source.kind"] = "import";
    facts["source.file"] = folder.filename().string();
    facts["source.format"] = "oci";
    facts["source.size"] = std::to_string(found.stored);
    if (!found.tag.empty()) facts["source.tag"] = found.tag;
    note_layout(ctx, *found.disk);
    ctx.summary(folder.filename().string() + "  oci " + found.tag + ", " + format_bytes(found.disk->size()));
    ctx.produce(found.disk);
  }

  static void note_layout(Context& ctx, const BlockReader& disk) {
    const DiskLayout layout = look_at(disk);
    ctx.facts()["disk.layout"] = layout.kind;
    if (!layout.firmware.empty()) ctx.facts()["boot.firmware"] = layout.firmware;
    if (layout.kind == "none")
      ctx.warn("no partition table and no file system was found: this disk may hold no operating system");
  }
};

}  // namespace
}  // namespace kiln::import

KILN_STAGE(kiln::import::Import)

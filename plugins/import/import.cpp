#include <sys/stat.h>

#include <chrono>

#include <kiln/file.h>
#include <kiln/hash.h>
#include <kiln/layout.h>
#include <kiln/plugin.h>

#include "oci.h"
#include "source.h"

namespace kiln::import {
namespace {

namespace fs = std::filesystem;

struct Params {
  fs::path file;
  std::string format;
  std::string sha256;
  std::string tag;
  Bytes unpack_limit{std::uint64_t{16} << 40};
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
      : StageOf(
            {.name = "import", .summary = "Take a disk image file, from anywhere, as the disk."},
            {{"file", &Params::file,
              "The disk image, an OVA, an OVF beside its disks, any of them compressed, or the folder of an OCI image "
              "layout. It is read, never changed.",
              required},
             {"format", &Params::format, "Its format, such as \"vhd\". Default: recognised by the content."},
             {"sha256", &Params::sha256,
              "What sha256sum must print for the file; verified before anything is made of it."},
             {"tag", &Params::tag, "Which image of an OCI image layout. Default: the only one."},
             {"unpack_limit", &Params::unpack_limit, "The most that a compressed file may unpack to."}}) {}

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
    return Identity::of(st).text() + fingerprint_within(p.file, std::to_string(started));
  }

  void run(Context& ctx, const Params& p) const override {
    std::error_code error;
    const fs::path path = fs::canonical(p.file, error);
    if (error) throw system_error("cannot open " + p.file.string(), error.value());
    if (is_oci_layout(path)) return run_layout(ctx, path, p.tag);
    const auto steady = std::make_shared<const SteadyFile>(path);
    if (!p.sha256.empty()) verify(ctx, *steady, to_hex(*parse_digest(p.sha256)));
    const Source source = open_source(ctx, {steady->file().again(), steady}, p.format, {.size = p.unpack_limit.count});

    Facts& facts = ctx.facts();
    facts["source.kind"] = "import";
    facts["source.file"] = p.file.filename().string();
    facts["source.format"] = source.kind;
    facts["source.size"] = std::to_string(steady->file().size());
    if (!p.sha256.empty()) facts["source.sha256"] = to_hex(*parse_digest(p.sha256));
    note_layout(ctx, *source.disks.front().disk);
    for (const auto& [name, value] : source.facts) facts[name] = value;
    ctx.summary(p.file.filename().string() + "  " + describe(source));
    produce(ctx, source);
  }

 private:
  /// The first disk is the system's, the others are parts: ADR 11.
  static void produce(Context& ctx, const Source& source) {
    ctx.produce(source.disks.front().disk);
    for (std::size_t i = 1; i < source.disks.size(); ++i) {
      const std::string name = "disk" + std::to_string(i);
      ctx.facts()["disk.layout." + name] = look_at(*source.disks[i].disk).kind;
      ctx.add_part(part_role::data, name, *source.disks[i].disk);
    }
  }

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

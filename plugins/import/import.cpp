#include <sys/stat.h>

#include <chrono>

#include <kiln/layout.h>
#include <kiln/plugin.h>

#include "oci/oci.h"
#include "origin/domain.h"
#include "origin/nbd_source.h"
#include "origin/origin.h"
#include "origin/url.h"
#include "source.h"

namespace kiln::import {
namespace {

namespace fs = std::filesystem;

class Import final : public StageOf<Params, Role::source> {
 public:
  Import()
      : StageOf(
            {.name = "import", .summary = "Take a disk image file, from anywhere, as the disk."},
            {{"file", &Params::file,
              "The disk image, an OVA, an OVF beside its disks, any of them compressed, or the folder of an OCI image "
              "layout; \"-\" is the standard input. It is read, never changed."},
             {"url", &Params::url,
              "Instead of file: https://…, http://…, nbd://host/export or nbd+unix:///export?socket=PATH."},
             {"domain", &Params::domain, "Instead of file: a machine of libvirt's that is shut off, by name or UUID."},
             {"connect", &Params::connect, "With domain: libvirt's URI of its host. Default: libvirt's own."},
             {"mirrors", &Params::mirrors, "Further URLs of the same file, tried in this order when url fails."},
             {"format", &Params::format, "Its format, such as \"vhd\". Default: recognised by the content."},
             {"sha256", &Params::sha256,
              "What sha256sum must print for the file; verified before anything is made of it."},
             {"sha512", &Params::sha512, "What sha512sum must print for the file."},
             {"checksums", &Params::checksums, "A list of checksums that has the file's: a path or a URL."},
             {"signature", &Params::signature, "The detached signature of checksums: a path or a URL."},
             {"keyring", &Params::keyring, "Whose signature it must be: a file of OpenPGP public keys."},
             {"refresh",
              &Params::refresh,
              {"never", "changed", "always"},
              "When a URL that was downloaded before is downloaded again: \"changed\" asks the server."},
             {"ttl", &Params::ttl, "How long the server is not asked again."},
             {"limit", &Params::limit, "The most bytes that are downloaded or read from the standard input."},
             {"timeout", &Params::patience, "How long a server may be silent, or slower than 1 KiB/s."},
             {"retries", &Params::retries, "How often it is tried again before the next mirror is."},
             {"allow", &Params::allow,
              "Addresses, blocks such as \"10.0.0.0/8\" and names of hosts that a URL may lead to although they are "
              "not "
              "of the public internet."},
             {"tag", &Params::tag, "Which image of an OCI image layout. Default: the only one."},
             {"unpack_limit", &Params::unpack_limit, "The most that a compressed file may unpack to."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    check_domain(p, c);
    if (is_from_domain(p)) return;
    if (is_local(p) && is_oci_layout(p.file)) return check_layout(p, c);
    check_origin(p, c);
    if (is_local(p)) check_file(p, c);
    if (!p.tag.empty())
      c.problem("tag", "\"tag\" is for the folder of an OCI image layout, which " + shown(p) + " is not",
                "leave it out");
    if (p.format.empty()) return;
    try {
      c.formats().get(p.format);
    } catch (const Error& unknown) {
      c.problem("format", unknown.what(), unknown.hint());
    }
  }

  std::string fingerprint(const Params& p) const override {
    if (!is_local(p)) return origin_fingerprint(p);
    if (is_oci_layout(p.file)) return oci_fingerprint(p.file, p.tag);
    struct stat st {};
    if (::stat(p.file.c_str(), &st) != 0) return "missing";
    // What is written to a device leaves no trace in its node: every kiln reads it anew.
    static const auto started = std::chrono::system_clock::now().time_since_epoch().count();
    if (S_ISBLK(st.st_mode)) return "device, read at " + std::to_string(started);
    return Identity::of(st).text() + fingerprint_within(p.file, std::to_string(started));
  }

  /// Further disks are parts, which last as long as a run does.
  bool still_there(const Params& p, const Facts& made, Catalog&) const override {
    return !made.contains("disk.layout.disk1") && is_still_there(p, made);
  }

  void run(Context& ctx, const Params& p) const override {
    if (is_from_domain(p)) return run_domain(ctx, p);
    if (is_from_nbd(p)) return run_nbd(ctx, p);
    if (is_local(p))
      if (const fs::path path = canonical(p.file); is_oci_layout(path)) return run_layout(ctx, path, p.tag);
    const Origin origin = find_origin(ctx, p);
    const Source source =
        open_source(ctx, {origin.input.file.again(), origin.input.guard}, p.format, {.size = p.unpack_limit.count});

    Facts& facts = ctx.facts();
    facts["source.kind"] = "import";
    facts["source.file"] = origin.name;
    facts["source.format"] = source.kind;
    facts["source.size"] = std::to_string(origin.input.file.size());
    if (source.kind != source.disks.front().found.format) facts["source.disks"] = kinds_of_disks(source);
    for (const auto& [name, value] : origin.facts) facts[name] = value;
    note_layout(ctx, *source.disks.front().disk);
    for (const auto& [name, value] : source.facts) facts[name] = value;
    ctx.summary(origin.name + "  " + describe(source));
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

  static bool is_local(const Params& p) { return p.url.empty() && !p.file.empty() && !is_from_stdin(p); }
  static std::string shown(const Params& p) { return p.url.empty() ? p.file.string() : "what a URL leads to"; }

  static fs::path canonical(const fs::path& file) {
    std::error_code error;
    fs::path path = fs::canonical(file, error);
    if (error) throw system_error("cannot open " + file.string(), error.value());
    return path;
  }

  static void check_file(const Params& p, Check& c) {
    std::error_code error;
    const fs::file_status status = fs::status(p.file, error);
    if (!fs::exists(status))
      c.problem("file", "there is no file " + p.file.string(),
                "is the path right? in a pipeline a relative one starts at the pipeline's folder");
    else if (!fs::is_regular_file(status) && !fs::is_block_file(status))
      c.problem("file", p.file.string() + " is not a regular file", "give the path of a disk image file");
  }

  static void run_nbd(Context& ctx, const Params& p) {
    const auto disk = open_nbd(p.url, AddressRule(p.allow), p.patience, ctx.stop());
    const std::string name = parse_url(p.url).file_name();
    if (p.format != "raw") refuse_nested(ctx.formats(), *disk, name);
    Facts& facts = ctx.facts();
    facts["source.kind"] = "import";
    facts["source.file"] = name;
    facts["source.url"] = parse_url(p.url).shown();
    facts["source.format"] = "raw";
    facts["source.size"] = std::to_string(disk->size());
    note_layout(ctx, *disk);
    ctx.summary(name + "  raw, by NBD, " + format_bytes(disk->size()));
    ctx.produce(disk);
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

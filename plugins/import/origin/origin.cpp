#include "origin/origin.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include <kiln/finding.h>
#include <kiln/text.h>

#include "origin/checksums.h"
#include "origin/domain.h"
#include "origin/download.h"
#include "origin/stdin_source.h"
#include "origin/url.h"

namespace kiln::import {
namespace {

namespace fs = std::filesystem;

/// Parsed, when it can be; said, when not.
std::optional<Url> checked_url(const std::string& text, const std::string& param, Check& c) try {
  return parse_url(text);
} catch (const Error& error) {
  c.problem(param, error.what(), error.hint());
  return std::nullopt;
}

void check_urls(const Params& p, Check& c) {
  const std::optional<Url> url = checked_url(p.url, "url", c);
  for (std::size_t i = 0; i < p.mirrors.size(); ++i) {
    const std::string param = "mirrors[" + std::to_string(i) + "]";
    const std::optional<Url> mirror = checked_url(p.mirrors[i], param, c);
    if (mirror && url && (!mirror->is_http() || !url->is_http()))
      c.problem(param, "\"mirrors\" is for files that are downloaded", "leave it out");
  }
  if (!url || !url->is_nbd()) return;
  if (!p.sha256.empty() || !p.sha512.empty() || !p.checksums.empty())
    c.problem("url", "an NBD server has a disk and no file: no digest can be expected of it",
              "leave out sha256, sha512 and checksums; the content's digest is recorded in any case");
  if (!p.format.empty() && p.format != "raw")
    c.problem("format", "an NBD server shows the disk itself: its format is raw", "leave it out");
}

void check_digests(const Params& p, Check& c) {
  if (!p.sha256.empty() && plain_digest(p.sha256, Algorithm::sha256).empty())
    c.problem("sha256", "\"sha256\" takes 64 hexadecimal digits", "copy what sha256sum prints for the file");
  if (!p.sha512.empty() && plain_digest(p.sha512, Algorithm::sha512).empty())
    c.problem("sha512", "\"sha512\" takes 128 hexadecimal digits", "copy what sha512sum prints for the file");
  if (!p.signature.empty() && p.checksums.empty())
    c.problem("signature", "\"signature\" is of a list of checksums, and there is none", "give checksums, too");
  if (!p.signature.empty() && p.keyring.path.empty())
    c.problem("signature", "nobody says whose signature it must be", "give the publisher's keys: keyring = \"FILE\"");
  if (p.signature.empty() && !p.keyring.path.empty())
    c.problem("keyring", "\"keyring\" is for a signature, and there is none", "give signature, too");
}

std::string this_process() {
  static const auto started = std::chrono::system_clock::now().time_since_epoch().count();
  return "read at " + std::to_string(started);
}

/// The whole of kiln's own file, under the name that people know it by. Nothing lies beside it.
File named(const File& file, const std::string& name) {
  return file.part(0, file.size(), name);
}

Origin download(Context& ctx, const Params& p) {
  const Url url = parse_url(p.url);
  const std::string name = url.file_name();
  const Digests expected = expected_digests(ctx, p, name);
  if (!proxy_for(url.scheme).empty())
    ctx.warn("a proxy connects for kiln: where it connects to is checked only as far as this host knows the name");
  if (url.scheme == "http" && expected.empty())
    ctx.warn("the connection is not encrypted and no digest is expected: whoever is on the way can change the file");
  std::vector<std::string> urls{p.url};
  urls.insert(urls.end(), p.mirrors.begin(), p.mirrors.end());
  const Downloaded got = Downloads(ctx, p).get({.urls = std::move(urls), .expected = expected, .limit = p.limit.count});
  Origin origin{.input = {named(got.file, name)}, .name = name};
  note_origin(origin.facts, got.note);
  return origin;
}

Origin from_stdin(Context& ctx, const Params& p) {
  const Digests expected = expected_digests(ctx, p, "-");
  Spooled spooled = spool_stdin(ctx, p.limit.count, !expected.sha512.empty());
  require(expected, spooled.digests, "the standard input");
  Origin origin{.input = {named(spooled.file, "stdin")}, .name = "stdin"};
  origin.facts["source.sha256"] = spooled.digests.sha256;
  if (!spooled.digests.sha512.empty()) origin.facts["source.sha512"] = spooled.digests.sha512;
  return origin;
}

Digests digests_of(Context& ctx, const File& file, bool sha512) {
  RunningDigests digests(sha512);
  const std::uint64_t size = file.size();
  std::vector<std::byte> buffer(1 << 20);
  for (std::uint64_t at = 0; at < size;) {
    const auto piece = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), size - at));
    file.read_at(at, piece);
    digests.update(piece);
    at += piece.size();
    ctx.progress({Progress::Unit::bytes, static_cast<double>(at), static_cast<double>(size), "verifying sha256"});
  }
  return digests.finish();
}

/// Reads it only when something is expected of it.
Origin local_file(Context& ctx, const Params& p) {
  const std::string name = p.file.filename().string();
  std::error_code error;
  const fs::path path = fs::canonical(p.file, error);
  if (error) throw system_error("cannot open " + p.file.string(), error.value());
  const auto guard = std::make_shared<const SteadyFile>(path);
  Origin origin{.input = {guard->file().again(), guard}, .name = name};
  const Digests expected = expected_digests(ctx, p, name);
  if (expected.empty()) return origin;
  const Digests found = digests_of(ctx, guard->file(), !expected.sha512.empty());
  guard->check();
  require(expected, found, name);
  origin.facts["source.sha256"] = found.sha256;
  if (!found.sha512.empty()) origin.facts["source.sha512"] = found.sha512;
  return origin;
}

}  // namespace

bool is_from_nbd(const Params& p) {
  return !p.url.empty() && parse_url(p.url).is_nbd();
}

bool is_from_stdin(const Params& p) {
  return p.file == "-";
}

void check_origin(const Params& p, Check& c) {
  if (p.file.empty() == p.url.empty())
    c.problem(p.url.empty() ? "" : "url", p.url.empty() ? "nothing says which file" : "there is a file and a URL",
              "give file, url or domain");
  if (!p.url.empty()) check_urls(p, c);
  if (p.url.empty() && !p.mirrors.empty()) c.problem("mirrors", "\"mirrors\" are further places of url", "give url");
  check_digests(p, c);
  if (p.retries < 0 || p.retries > 100) c.problem("retries", "\"retries\" takes a number from 0 to 100");
  if (p.patience < Duration(1)) c.problem("timeout", "\"timeout\" cannot be 0");
  for (std::size_t i = 0; i < p.allow.size(); ++i)
    if (p.allow[i].empty() || (p.allow[i].find('/') != std::string::npos && !parse_block(p.allow[i])))
      c.problem("allow[" + std::to_string(i) + "]", "\"allow\" takes addresses, blocks of them, and names of hosts",
                "write \"10.0.0.0/8\", \"fd00::1\" or \"images.lan\"");
}

Origin find_origin(Context& ctx, const Params& p) {
  if (is_from_stdin(p)) return from_stdin(ctx, p);
  if (!p.url.empty()) return download(ctx, p);
  return local_file(ctx, p);
}

std::string origin_fingerprint(const Params& p) {
  return is_from_stdin(p) || is_from_nbd(p) || is_from_domain(p) ? this_process() : std::string();
}

bool is_still_there(const Params& p, const Facts& made) {
  return p.url.empty() || is_from_nbd(p) || is_unchanged(p, made);
}

}  // namespace kiln::import

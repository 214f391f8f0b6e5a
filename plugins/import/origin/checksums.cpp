#include "origin/checksums.h"

#include <algorithm>

#include <kiln/file.h>
#include <kiln/finding.h>
#include <kiln/text.h>

#include "origin/download.h"
#include "origin/url.h"

namespace kiln::import {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t longest_list = 4u << 20;

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  return line;
}

std::string_view last_part(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0
}

/// One line: a digest and whose it is; the name is empty for a digest alone.
struct Entry {
  std::string_view name;
  Digests digests;
};

Entry with_digest(std::string_view name, std::string_view digits) {
  return {last_part(name), {plain_digest(digits, Algorithm::sha256), plain_digest(digits, Algorithm::sha512)}};
}

/// "SHA256 (name) = digest", as sha256 of the BSDs, openssl and sha256sum --tag print it.
Entry bsd_entry(std::string_view line) {
  const std::size_t open = line.find('('), close = line.rfind(')');
  const std::string_view algorithm = trimmed(line.substr(0, open));
  if (close == std::string_view::npos || close < open || (algorithm != "SHA256" && algorithm != "SHA512")) return {};
  std::string_view rest = trimmed(line.substr(close + 1));
  if (!rest.starts_with('=')) return {};
  return with_digest(line.substr(open + 1, close - open - 1), trimmed(rest.substr(1)));
}

/// "digest  name", "digest *name" (coreutils, "sha2 utilities"). A name with a line end has a backslash before all;
/// nobody publishes such a file.
Entry gnu_entry(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return with_digest("", line);
  std::string_view name = line.substr(space + 1);
  if (name.starts_with(' ') || name.starts_with('*')) name.remove_prefix(1);
  return with_digest(trimmed(name), line.substr(0, space));
}

void take(std::string& into, const std::string& digest, const std::string& file, const std::string& list) {
  if (digest.empty()) return;
  if (!into.empty() && into != digest)
    throw refused(list + " says two different things of " + file, "ask whoever publishes it which one is meant",
                  {into, digest})
        .as(code::hash_mismatch);
  into = digest;
}

/// A file of this host, or a URL.
std::string read(Downloads& downloads, const fs::path& from) {
  if (!looks_like_url(from.string())) return read_text(from, longest_list);
  const Downloaded got = downloads.get({.urls = {from.string()}, .limit = longest_list});
  std::string text(got.file.size(), '\0');
  got.file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

/// gpgv reads binary key rings only. Both programs see bytes of strangers, and nothing else.
void require_signature(Context& ctx, const Params& p, const std::string& list, const std::string& signature,
                       const std::string& name) {
  const fs::path ring = ctx.scratch() / "keyring.gpg", signed_file = ctx.scratch() / "checksums",
                 detached = ctx.scratch() / "checksums.sig";
  const std::string keys = read_text(p.keyring.path, longest_list);
  write_text(ring, keys);
  if (keys.find("-----BEGIN PGP PUBLIC KEY BLOCK-----") != std::string::npos)
    write_text(
        ring,
        ctx.exec({.program = "gpg",
                  .args = {"--homedir", "/tmp", "--batch", "--no-options", "--output", "-", "--dearmor", "--", "/in/0"},
                  .confined_to = {ring}}));
  write_text(signed_file, list);
  write_text(detached, signature);
  try {
    ctx.exec({.program = "gpgv",
              .args = {"--homedir", "/tmp", "--keyring", "/in/0", "--", "/in/1", "/in/2"},
              .confined_to = {ring, detached, signed_file}});
  } catch (const Error& error) {
    if (!std::string_view(error.what()).starts_with("gpgv exited")) throw;  // cancelled, or not installed
    throw refused("the signature of " + name + " is not one of the key ring's",
                  "is keyring the publisher's, and are the checksums and their signature of one version?",
                  error.evidence())
        .as(code::bad_signature);
  }
}

}  // namespace

Digests digests_in(std::string_view list, const std::string& file, const std::string& list_name) {
  Digests found, alone;
  std::size_t lines = 0;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find('\n'), list.size());
    const std::string_view line = trimmed(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
    if (line.empty() || line.starts_with('#')) continue;
    ++lines;
    const Entry entry =
        line.find('(') != std::string_view::npos && line.starts_with("SHA") ? bsd_entry(line) : gnu_entry(line);
    if (entry.name.empty()) alone = entry.digests;
    if (entry.name != file) continue;
    take(found.sha256, entry.digests.sha256, file, list_name);
    take(found.sha512, entry.digests.sha512, file, list_name);
  }
  if (found.empty() && lines == 1) found = alone;
  if (found.empty())
    throw Error(list_name + " has no SHA-256 and no SHA-512 of " + file, "is it the list of this file's folder?",
                {std::to_string(lines) + " lines"});
  return found;
}

Digests expected_digests(Context& ctx, const Params& p, const std::string& file) {
  const Digests given{plain_digest(p.sha256, Algorithm::sha256), plain_digest(p.sha512, Algorithm::sha512)};
  if (p.checksums.empty()) return given;
  Downloads downloads(ctx, p);
  const std::string name = printable(last_part(p.checksums.string().substr(0, p.checksums.string().find('?'))), 200);
  const std::string list = read(downloads, p.checksums);
  if (!p.signature.empty()) require_signature(ctx, p, list, read(downloads, p.signature), name);
  Digests listed = digests_in(list, file, name);
  for (const auto& [mine, theirs] :
       {std::pair(&given.sha256, &listed.sha256), std::pair(&given.sha512, &listed.sha512)}) {
    if (!mine->empty() && !theirs->empty() && *mine != *theirs)
      throw refused("the digest that is expected of " + file + " is not the one of " + name,
                    "which of the two is of the file that you want?", {"expected " + *mine, "listed   " + *theirs})
          .as(code::hash_mismatch);
    if (theirs->empty()) *theirs = *mine;
  }
  return listed;
}

}  // namespace kiln::import

#include "catalog/region/copy.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "catalog/image_parts.h"
#include "catalog/names.h"
#include "catalog/store.h"
#include "disk/pump.h"

namespace kiln {
namespace {

/// The source, but what the other side has is not read: a batch is asked for as a whole when one chunk of it is
/// missing.
class MissingOnly final : public BlockReader {
 public:
  MissingOnly(const BlockReader& source, const Manifest& manifest, const BlockSink& sink)
      : source_(source), manifest_(manifest), sink_(sink) {}

  std::uint64_t size() const override { return source_.size(); }
  Extent extent_at(std::uint64_t offset) const override { return source_.extent_at(offset); }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    while (!into.empty()) {
      const auto part = into.first(std::min<std::size_t>(into.size(), chunk_size - offset % chunk_size));
      if (sink_.knows(manifest_.at(offset / chunk_size)))
        std::ranges::fill(part, std::byte{0});  // which the sink does not look at
      else
        read_source(offset, part);
      into = into.subspan(part.size());
      offset += part.size();
    }
  }

  /// Whether an error came from there.
  bool source_failed() const { return source_failed_; }

 private:
  void read_source(std::uint64_t offset, std::span<std::byte> into) const {
    try {
      source_.read(offset, into);
    } catch (...) {
      source_failed_ = true;
      throw;
    }
  }

  mutable std::atomic<bool> source_failed_ = false;
  const BlockReader& source_;
  const Manifest& manifest_;
  const BlockSink& sink_;
};

ImageEntry copy_of(const ImageEntry& original, const Region& to) {
  ImageEntry copy = original;
  copy.region = to.name();
  copy.channels.clear();
  copy.is_public = copy.is_protected = false;
  const Account& account = to.account();
  if (account.is_operator || account.name == original.owner) return copy;
  copy.owner = account.name;
  copy.signatures.clear();  // they are for the image of its owner
  copy.image.id = random_id();
  copy.parents.push_back(original.image.id);  // whose revocation reaches it, too
  copy.image.facts["source.copy"] = original.owner + "/" + original.reference();
  return copy;
}

/// The graph stays behind: what will befall an ancestor here must befall the copy there.
void inherit_revocation_to_come(const Region& from, ImageEntry& copy) {
  std::unordered_map<std::string, ImageEntry> by_id;
  for (ImageEntry& entry : from.images()) by_id.emplace(entry.image.id, std::move(entry));
  std::vector<std::string> open = copy.parents;
  std::unordered_set<std::string> seen;
  while (!open.empty()) {
    const auto ancestor = by_id.find(open.back());
    open.pop_back();
    if (ancestor == by_id.end() || !seen.insert(ancestor->first).second) continue;
    open.insert(open.end(), ancestor->second.parents.begin(), ancestor->second.parents.end());
    const Lifecycle& life = ancestor->second.life;
    if (life.revoked_at.empty() || (!copy.life.revoked_at.empty() && copy.life.revoked_at <= life.revoked_at)) continue;
    copy.life.revoked_at = life.revoked_at;
    copy.life.reason = life.reason;
  }
}

/// The image that is there under the copy's id, or its name and version.
std::optional<ImageEntry> there(const Region& to, const ImageEntry& copy) {
  for (ImageEntry& entry : to.images()) {
    const bool named =
        entry.owner == copy.owner && entry.image.name == copy.image.name && entry.image.version == copy.image.version;
    if (entry.image.id != copy.image.id && !named) continue;
    const ImageState state = entry.state();
    const std::string what = "image " + entry.reference() + " of region \"" + to.name() + "\"";
    if (state == ImageState::creating || state == ImageState::failed) continue;  // whoever is faster takes its place
    if (state == ImageState::trashed)
      throw refused(what + " is " + std::string(to_text(state)), "restore it there, or remove it there for good");
    if (contents_of(entry.image) != contents_of(copy.image))
      throw invalid(what + " is another one: its content differs",
                    "a published image never changes: publish this one under another version",
                    {"here:  sha256:" + to_hex(copy.image.content), "there: sha256:" + to_hex(entry.image.content)});
    return std::move(entry);
  }
  return std::nullopt;
}

/// One disk of the image that is copied: the parts in their order, then the system disk.
struct Piece {
  Image image;  ///< as Region::read() takes it
  Manifest manifest;
};

std::vector<Piece> pieces_of(const Region& from, const Image& image) {
  std::vector<Piece> out;
  for (const ImagePart& part : image.parts) {
    Image disk = disk_of(image, part);
    Manifest manifest = from.manifest(disk);
    out.push_back({std::move(disk), std::move(manifest)});
  }
  out.push_back({image, from.manifest(image)});
  return out;
}

std::uint64_t distinct_chunks(const std::vector<Piece>& pieces) {
  std::unordered_set<Digest> distinct;
  for (const Piece& piece : pieces)
    for (const Manifest::Entry& entry : piece.manifest.entries()) distinct.insert(entry.digest);
  return distinct.size();
}

unsigned workers_between(const Region& from, const Region& to) {
  return std::max(from.parallel(), to.parallel());
}

/// Goes on from what is there of a copy that was killed, and brings the rest.
void move_missing(const BlockReader& source, const Manifest& manifest, RegionSink& sink, unsigned workers,
                  const CopyOptions& options) {
  const MissingOnly missing(source, manifest, sink);
  const std::array<BlockSink*, 1> sinks{&sink};
  try {
    sink.resume(manifest, options.stop);
    (void)pump(missing, sinks,
               {.stop = options.stop,
                .progress = options.progress,
                .workers = workers,
                .known = &manifest,
                .known_is_whole = true});
  } catch (const Error& error) {
    // Not when the other side refused or failed: then what it has of this is not to take up its space.
    if (error.failure() == Failure::cancelled || missing.source_failed()) sink.leave();
    throw;
  }
}

void add_figures(CopyReport& report, const RegionSink& sink) {
  report.moved_chunks += sink.moved_chunks();
  report.moved_bytes += sink.moved_bytes();
  report.resumed_chunks += sink.resumed_chunks();
  report.resumed_bytes += sink.resumed_bytes();
}

/// All disks; the figures of the parts. Progress is that of all of them together.
void move_all(const Region& from, const std::vector<Piece>& pieces, const std::vector<ImagePart>& parts,
              RegionSink& sink, unsigned workers, const CopyOptions& options, CopyReport& report) {
  std::uint64_t before = 0, total = 0, in_piece = 0;
  for (const Piece& piece : pieces) total += piece.manifest.entries().size() * chunk_size;
  CopyOptions piecewise = options;
  if (options.progress && pieces.size() > 1)
    piecewise.progress = [&](std::uint64_t done, std::uint64_t) {
      options.progress(std::min(total, before + std::min(done, in_piece)), total);
    };
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    in_piece = piece.manifest.entries().size() * chunk_size;
    const auto source = from.read(piece.image);
    if (i == parts.size()) {
      move_missing(*source, piece.manifest, sink, workers, piecewise);
    } else {
      const auto part = sink.part(parts[i], piece.manifest);
      move_missing(*source, piece.manifest, *part, workers, piecewise);
      part->finish();
      add_figures(report, *part);
    }
    before += in_piece;
  }
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

CopyReport copy_image(const Region& from, const ImageEntry& original, Region& to, const CopyOptions& options) {
  if (from.name() == to.name() && (to.account().is_operator || to.account().name == original.owner))
    throw invalid("image " + original.reference() + " is in region \"" + to.name() + "\" already",
                  "name another region: kiln region list");
  ImageEntry copy = copy_of(original, to);
  if (options.admit && copy.owner != original.owner) options.admit(original);
  inherit_revocation_to_come(from, copy);
  CopyReport report{.region = to.name(), .image = copy};
  const std::vector<Piece> pieces = pieces_of(from, original.image);
  report.all_chunks = distinct_chunks(pieces);
  if (auto found = there(to, copy)) {
    report.was_there = true;
    report.state_changed = to.follow(*found, copy.life);
    report.image = std::move(*found);
    if (options.channel.empty() || contains(report.image.channels, options.channel)) return report;
    to.point(report.image, options.channel);
    report.channel_moved = true;
    return report;
  }
  const auto sink = to.receive(copy, pieces.back().manifest, options.channel);
  move_all(from, pieces, original.image.parts, *sink, workers_between(from, to), options, report);
  // It may have been revoked, or a share of it ended, while it was read.
  (void)from.resolve(original.image.id, Action::copy);
  try {
    sink->finish();
  } catch (const Error&) {
    auto found = there(to, copy);  // somebody copied the same at the same time, and was faster
    if (!found) throw;
    return {.region = to.name(), .image = std::move(*found), .was_there = true, .all_chunks = report.all_chunks};
  }
  report.channel_moved = !options.channel.empty();
  add_figures(report, *sink);
  return report;
}

CopyReport sync_channel(const Region& from, std::string_view reference, Region& to, const CopyOptions& options) {
  const Reference wanted = parse_reference(reference);
  const ImageEntry entry = from.resolve(reference, Action::copy);
  if (wanted.tag.empty() || !contains(entry.channels, wanted.tag))
    throw invalid("\"" + std::string(reference) + "\" names no channel",
                  "give NAME:CHANNEL, such as " + wanted.name + ":stable; see kiln image list " + wanted.name);
  CopyOptions with_channel = options;
  with_channel.channel = wanted.tag;
  return copy_image(from, entry, to, with_channel);
}

}  // namespace kiln

#include "cli/image_comparison.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <kiln/hash.h>
#include <kiln/text.h>

#include "cli/activity.h"
#include "cli/text_diff.h"
#include "disk/manifest.h"
#include "disk/overlay.h"
#include "engine/layers.h"
#include "guest/viewer.h"

namespace kiln::cli {
namespace {

constexpr std::uint64_t most_read = std::uint64_t{4} << 30, block_size = 4096;
constexpr std::uint64_t largest_text = 128u << 10, most_text = 32u << 20;
constexpr std::string_view bios_boot = "21686148-6449-6E6F-744E-656564454649";

ChunkDiff compare_chunks(const Manifest& a, const Manifest& b, std::size_t most_ranges) {
  ChunkDiff diff;
  const std::uint64_t size = std::max(a.disk_size(), b.disk_size());
  const auto differs = [&](std::uint64_t index) {
    ++diff.differ;
    const std::uint64_t offset = index * chunk_size, length = std::min(chunk_size, size - offset);
    diff.bytes += length;
    if (!diff.ranges.empty() && diff.ranges.back().first + diff.ranges.back().second == offset)
      diff.ranges.back().second += length;
    else if (diff.ranges.size() < most_ranges)
      diff.ranges.emplace_back(offset, length);
  };
  auto x = a.entries().begin(), y = b.entries().begin();
  for (; x != a.entries().end() || y != b.entries().end(); ++diff.all) {
    if (y == b.entries().end() || (x != a.entries().end() && x->index < y->index)) {
      differs(x++->index);
    } else if (x == a.entries().end() || y->index < x->index) {
      differs(y++->index);
    } else {
      if (x->digest != y->digest) differs(x->index);
      ++x, ++y;
    }
  }
  return diff;
}

/// The bytes that start a disk, but for the table of partitions and the number that says which disk it is.
Digest boot_code(const BlockReader& disk, const GuestView& view) {
  std::uint64_t begin = 512, end = 512;
  if (view.table == "msdos" && !view.partitions.empty())
    end = std::max<std::uint64_t>(512, std::min<std::uint64_t>(view.partitions.front().first, 1u << 20));
  for (const ViewedPartition& p : view.partitions)
    if (p.type == bios_boot) begin = p.first, end = std::min(p.last + 1, p.first + (4u << 20));
  std::vector<std::byte> bytes(440 + (end - begin));
  const auto read = [&](std::uint64_t offset, std::span<std::byte> into) {
    if (offset < disk.size()) disk.read(offset, into.first(std::min<std::uint64_t>(into.size(), disk.size() - offset)));
  };
  read(0, std::span(bytes).first(440));
  read(begin, std::span(bytes).subspan(440));
  return sha256(bytes);
}

/// What is kept of a file to compare it with another: a short digest of each block, and a small text whole.
struct Kept {
  std::vector<std::uint64_t> blocks;
  std::string text;

  void add(std::span<const std::byte> piece, bool whole) {
    for (std::size_t at = 0; at < piece.size(); at += block_size) {
      const auto block = piece.subspan(at, std::min<std::size_t>(block_size, piece.size() - at));
      blocks.push_back(std::hash<Digest>{}(hasher().update(block).digest()));
    }
    if (whole) text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  static Hasher& hasher() {
    thread_local Hasher one;
    return one;
  }
};

std::uint64_t bytes_that_differ(const Kept& a, const Kept& b, std::uint64_t size) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < std::max(a.blocks.size(), b.blocks.size()); ++i)
    if (i >= a.blocks.size() || i >= b.blocks.size() || a.blocks[i] != b.blocks[i])
      bytes += std::min(block_size, size - i * block_size);
  return bytes;
}

bool is_configuration(const FileChange& change) {
  return change.path().starts_with("/etc/") && change.before->size <= largest_text &&
         change.after->size <= largest_text;
}

bool is_for_all(const FileChange& change) {
  return (change.before->mode & 04) != 0 && (change.after->mode & 04) != 0;
}

/// The two disks in appliances, and what was read of them.
class Look {
 public:
  Look(Services& services, const ImageEntry& a, const ImageEntry& b, std::stop_token stop, bool silent)
      : services_(services),
        layers_(services.home().layers(), services.registry().get("qcow2")),
        workspace_(layers_),
        stop_(std::move(stop)) {
    Activity activity("writing", silent);
    lend(a, "a", activity);
    lend(b, "b", activity);
    activity.end();
    viewers_[0] = start({overlays_[0], overlays_[1]});
    if (viewers_[0]->distinguishes()) return;
    viewers_[0]->close();
    viewers_[0] = start({overlays_[0]});
    viewers_[1] = start({overlays_[1]});
  }

  GuestView view(unsigned side) { return viewer(side).look(number(side)); }
  Kept read(unsigned side, const ViewedFile& file, bool whole) {
    Kept kept;
    viewer(side).read(number(side), file, [&](std::span<const std::byte> piece) { kept.add(piece, whole); });
    return kept;
  }
  void close() {
    for (const auto& viewer : viewers_)
      if (viewer) viewer->close();
  }

 private:
  void lend(const ImageEntry& entry, const std::string& name, Activity& activity) {
    const std::filesystem::path base = workspace_.folder() / (name + ".qcow2");
    services_.machines().lend_base(entry.image, base, activity.bytes());
    overlays_.push_back(workspace_.folder() / (name + "-overlay.qcow2"));
    create_overlay(overlays_.back(), entry.image.virtual_size, base, "qcow2");
  }
  std::unique_ptr<Viewer> start(std::vector<std::filesystem::path> overlays) {
    const std::string folder = "appliance" + std::to_string(started_++);
    return std::make_unique<Viewer>(ViewerOptions{.overlays = std::move(overlays),
                                                  .run_dir = workspace_.make_folder(folder),
                                                  .force_tcg = services_.accelerator().name != "kvm",
                                                  .stop = stop_,
                                                  .sandboxed = services_.sandboxed()});
  }
  Viewer& viewer(unsigned side) { return viewers_[1] ? *viewers_[side] : *viewers_[0]; }
  unsigned number(unsigned side) const { return viewers_[1] ? 0 : side; }

  Services& services_;
  engine::Layers layers_;
  engine::Workspace workspace_;
  std::stop_token stop_;
  std::vector<std::filesystem::path> overlays_;
  std::array<std::unique_ptr<Viewer>, 2> viewers_;
  unsigned started_ = 0;
};

/// Reads the files that may differ, all of one side and then all of the other, so that each is mounted once.
class Reading {
 public:
  Reading(Look& look, ImageComparison& result, std::size_t limit) : look_(look), result_(result), limit_(limit) {}

  void run() {
    std::vector<FileChange*> chosen = choose();
    std::vector<std::optional<Kept>> after;
    for (const FileChange* change : chosen) after.push_back(read(1, *change, *change->after));
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const auto before = read(0, *chosen[i], *chosen[i]->before);
      if (before && after[i]) settle(*chosen[i], *before, *after[i]);
      after[i].reset();
    }
    std::erase_if(result_.guest.changed, [](const FileChange& c) { return !c.unsure && c.what.empty(); });
  }

 private:
  std::vector<FileChange*> choose() {
    std::vector<FileChange*> chosen;
    std::uint64_t bytes = 0, text = 0;
    for (FileChange& change : result_.guest.changed) {
      if (!change.unsure) continue;
      bytes += change.before->size + change.after->size;
      if (bytes > most_read) {
        ++result_.not_compared;
        continue;
      }
      if (is_configuration(change) && is_for_all(change)) text += change.after->size;
      if (text > most_text) limit_ = 0;
      chosen.push_back(&change);
    }
    return chosen;
  }

  std::optional<Kept> read(unsigned side, const FileChange& change, const ViewedFile& file) try {
    return look_.read(side, file, limit_ > 0 && is_configuration(change) && is_for_all(change));
  } catch (const Error& error) {
    if (is_cancelled(error)) throw;
    result_.notes.emplace_back(error.what());
    return std::nullopt;
  }

  void settle(FileChange& change, const Kept& before, const Kept& after) {
    change.unsure = false;
    change.bytes = bytes_that_differ(before, after, std::max(change.before->size, change.after->size));
    if (change.bytes == 0) {
      change.bytes.reset();
      return;
    }
    change.what.insert(change.what.begin(), "content");
    if (!is_configuration(change) || limit_ == 0) return;
    TextChange text{printable(change.path()), {}};
    const bool is_text = (before.text + after.text).find('\0') == std::string::npos;
    if (!is_text) return;
    if (is_for_all(change))
      text.lines = unified_diff("a" + change.path(), "b" + change.path(), before.text, after.text, limit_);
    result_.texts.push_back(std::move(text));
  }

  Look& look_;
  ImageComparison& result_;
  std::size_t limit_;
};

void take_notes(const GuestView& view, const ImageEntry& entry, std::vector<std::string>& notes) {
  for (const std::string& note : view.notes)
    if (notes.size() < 50) notes.push_back(entry.reference() + ": " + note);
}

}  // namespace

ImageComparison compare_images(Services& services, const ImageEntry& before, const ImageEntry& after,
                               const ComparisonOptions& options, std::stop_token stop, bool silent) {
  ImageComparison result;
  LocalCatalog& catalog = services.catalog();
  result.chunks = compare_chunks(catalog.manifest(before.image), catalog.manifest(after.image), options.limit);
  if (before.image.content == after.image.content) return result;
  Look look(services, before, after, std::move(stop), silent);
  Activity activity("comparing", silent);
  result.before = look.view(0);
  result.after = look.view(1);
  take_notes(result.before, before, result.notes);
  take_notes(result.after, after, result.notes);
  result.same_boot_code =
      boot_code(*catalog.read(before.image), result.before) == boot_code(*catalog.read(after.image), result.after);
  result.guest = compare(result.before, result.after, options.thorough);
  Reading(look, result, options.limit).run();
  look.close();
  activity.end();
  return result;
}

}  // namespace kiln::cli

#include "libvirt/base_copy.h"

#include <algorithm>
#include <ctime>

#include <kiln/random.h>

namespace kiln {
namespace {

constexpr std::string_view prefix = "base-", data_end = ".raw", marker_end = ".ready";
constexpr std::size_t digest_digits = 64, own_digits = 8;
constexpr std::int64_t day = 24 * 3600;

/// "base-<digest>-<8 digits>" of a volume's or a marker's name; empty when it is neither.
std::string stem_of(const std::string& name, std::string_view end) {
  constexpr std::size_t length = prefix.size() + digest_digits + 1 + own_digits;
  const bool fits = name.size() == length + end.size() && name.starts_with(prefix) && name.ends_with(end);
  return fits ? name.substr(0, length) : "";
}

std::string new_stem(const Digest& content) {
  return std::string(prefix) + to_hex(content) + "-" + random_hex(own_digits / 2);
}

/// What the pool has of bases.
struct Bases {
  std::vector<Volume> complete, cut;
};

Bases bases_in(const Storage& storage) {
  const std::vector<Volume> all = storage.volumes();
  Bases bases;
  for (const Volume& volume : all) {
    const std::string stem = stem_of(volume.name, data_end);
    if (stem.empty()) continue;
    const bool marked = std::ranges::any_of(all, [&](const Volume& v) { return stem_of(v.name, marker_end) == stem; });
    (marked ? bases.complete : bases.cut).push_back(volume);
  }
  std::ranges::sort(bases.complete, {}, &Volume::name);  // of two copies everybody takes the same
  return bases;
}

/// A kiln that still sends changes its volume all the time.
void remove_leftovers(const Storage& storage, const std::vector<Volume>& cut) {
  for (const Volume& volume : cut)
    if (volume.modified > 0 && std::time(nullptr) - volume.modified > day) storage.remove(volume.name);
}

const Volume* complete_one(const Bases& bases, const Digest& content) {
  const std::string begin = std::string(prefix) + to_hex(content);
  const auto found = std::ranges::find_if(bases.complete, [&](const Volume& v) { return v.name.starts_with(begin); });
  return found == bases.complete.end() ? nullptr : &*found;
}

/// What has to be sent, and onto a copy of what.
struct Way {
  std::string copy_of;  ///< empty: onto nothing
  std::vector<Range> ranges;
};

Way cheapest(const Bases& bases, const BaseImage& image) {
  Way best{"", data_of(image.manifest)};
  std::uint64_t least = length_of(best.ranges);
  for (const Volume& volume : bases.complete) {
    // After its restart a daemon guesses formats, and a guest may have written what looks like one: such a volume would
    // not be copied byte for byte. Nor can a copy be made smaller.
    if (volume.format != "raw" || volume.capacity > image.manifest.disk_size()) continue;
    const auto content = parse_digest(volume.name.substr(prefix.size(), digest_digits));
    const auto there = content ? image.manifest_of(*content) : std::nullopt;
    if (!there) continue;
    std::vector<Range> ranges = differences(image.manifest, *there);
    if (length_of(ranges) >= least) continue;
    least = length_of(ranges);
    best = {volume.name, std::move(ranges)};
  }
  return best;
}

void fill(const Storage& storage, const std::string& name, const Way& way, const BaseImage& image) {
  const std::shared_ptr<const BlockReader> reader = image.open();
  const Upload upload{*reader, way.ranges, image.stop, image.progress};
  const VolumeSpec spec{.name = name, .format = "raw", .capacity = image.manifest.disk_size()};
  if (way.copy_of.empty()) {
    storage.create(spec);
    upload_whole(storage, name, upload);
  } else {
    storage.create_copy(spec, way.copy_of);
    upload_ranges(storage, name, upload);
  }
}

}  // namespace

BaseOnHost prepare_base(const Storage& storage, const BaseImage& image) {
  const Bases before = bases_in(storage);
  const Digest& content = image.manifest.content();
  if (const Volume* there = complete_one(before, content)) return {{there->path, "raw"}, 0};
  remove_leftovers(storage, before.cut);

  const Way way = cheapest(before, image);
  const std::string stem = new_stem(content), name = stem + std::string(data_end);
  try {
    fill(storage, name, way, image);
  } catch (...) {
    try {
      storage.remove(name);
    } catch (const Error&) {
      // it has no marker: nobody uses it, and another launch removes it
    }
    throw;
  }
  if (const Bases now = bases_in(storage); const Volume* faster = complete_one(now, content)) {
    storage.remove(name);
    return {{faster->path, "raw"}, length_of(way.ranges)};
  }
  storage.create({.name = stem + std::string(marker_end), .format = "raw"});
  return {{storage.find(name).value().path, "raw"}, length_of(way.ranges)};
}

}  // namespace kiln

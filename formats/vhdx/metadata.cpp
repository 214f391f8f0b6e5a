// 2.6 "Metadata Region".

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <span>

#include <kiln/endian.h>

#include "layout.h"

namespace kiln::vhdx {
namespace {

constexpr std::size_t table_size = 64 * kib, entries_at = 32, entry_size = 32;

/// An item of the system that this reader knows. Each has to be there once, but the locator of a parent.
struct Known {
  Guid id;
  const char* name;
  std::size_t length;  ///< 0: any
};
constexpr Known known_items[] = {
    {file_parameters, "file parameters", 8},           {virtual_disk_size, "virtual disk size", 8},
    {virtual_disk_id, "virtual disk id", 16},          {logical_sector_size, "logical sector size", 4},
    {physical_sector_size, "physical sector size", 4}, {parent_locator, "parent locator", 0},
};
constexpr std::size_t count_known = std::size(known_items);

/// 2.6.1.2 "Metadata Table Entry".
struct Item {
  std::string where;
  Guid id{};
  std::uint64_t at = 0, length = 0;  ///< from the region's start
  std::uint32_t flags = 0;
};

class Metadata {
 public:
  explicit Metadata(const Container& container, const Region& region)
      : container_(container), region_(region), table_(table_size) {
    container.read_at(region.start, table_);
    if (std::memcmp(table_.data(), "metadata", 8) != 0) throw bad("bytes 0..7: not \"metadata\"");
    const auto count = get_le<std::uint16_t>(table_, 10);
    if (count > most_table_entries) throw bad("bytes 10..11: " + std::to_string(count) + " entries");
    for (std::size_t i = 0; i < count; ++i) read_entry(entries_at + i * entry_size);
    check_overlaps();
    if (find(parent_locator) || (value<std::uint64_t>(file_parameters) >> 32 & has_parent) != 0) throw needs_parent();
    for (const Known& known : known_items)
      if (known.length != 0 && !find(known.id)) throw bad(std::string("there is no item \"") + known.name + '"');
  }

  Error bad(const std::string& fact, std::string_view name = code::damaged) const {
    return damaged(container_.file(), "VHDX metadata, " + fact, name);
  }
  std::string where(const Guid& id) const { return items_[*find(id)].where; }

  /// Of an item that is there; 0 of one that is not.
  template <class T>
  T value(const Guid& id) const {
    std::array<std::byte, sizeof(T)> bytes{};
    copy(id, bytes);
    return get_le<T>(bytes, 0);
  }
  void copy(const Guid& id, std::span<std::byte> into) const {
    if (const auto i = find(id)) container_.read_at(region_.start + items_[*i].at, into);
  }

 private:
  std::optional<std::size_t> find(const Guid& id) const {
    for (std::size_t i = 0; i < items_.size(); ++i)
      if (items_[i].id == id && (items_[i].flags & is_user) == 0) return i;
    return std::nullopt;
  }
  Error needs_parent() const {
    return refused(container_.file().path().string() +
                       " is a differencing VHDX: it holds only what differs from its parent",
                   "merge it into its parent first (Hyper-V: Merge-VHD), and give the merged disk",
                   {find(parent_locator) ? "VHDX metadata, " + where(parent_locator) + ": a parent locator"
                                         : "VHDX metadata, " + where(file_parameters) + ": the flag HasParent"})
        .as(code::parent_needed);
  }
  void read_entry(std::size_t at);
  void check_known(const Item&) const;
  void check_overlaps() const;

  const Container& container_;
  const Region& region_;
  std::vector<std::byte> table_;
  std::vector<Item> items_;
};

void Metadata::read_entry(std::size_t at) {
  const auto bytes = std::span(table_).subspan(at, entry_size);
  Item item{.where = "entry at byte " + std::to_string(at),
            .at = get_le<std::uint32_t>(bytes, 16),
            .length = get_le<std::uint32_t>(bytes, 20),
            .flags = get_le<std::uint32_t>(bytes, 24)};
  std::copy_n(bytes.begin(), item.id.size(), item.id.begin());
  const auto fact = [&] { return std::to_string(item.length) + " bytes at byte " + std::to_string(item.at); };
  if (item.length == 0 ? item.at != 0 : item.at < table_size) throw bad(item.where + ": " + fact());
  if (item.length > mib || item.at + item.length > region_.end - region_.start)
    throw bad(item.where + ": " + fact() + ", past the region's end");
  for (const Item& other : items_)
    if (other.id == item.id && (other.flags & is_user) == (item.flags & is_user))
      throw bad(item.where + ": the same item as the " + other.where);
  if ((item.flags & ~(is_user | is_virtual_disk | is_required)) != 0)
    throw bad(item.where + ": unknown flags " + hex(item.flags), code::unsupported);
  check_known(item);
  items_.push_back(std::move(item));
}

void Metadata::check_known(const Item& item) const {
  const auto* known = std::ranges::find(known_items, item.id, &Known::id);
  if (known == known_items + count_known || (item.flags & is_user) != 0) {
    if ((item.flags & is_required) == 0) return;
    throw Error(container_.file().path().string() + " needs a feature of VHDX that kiln does not know",
                "convert it with the program that made it to a plain VHDX",
                {"VHDX metadata, " + item.where + ": an unknown required item"})
        .as(code::unsupported);
  }
  if (known->length != 0 && item.length != known->length)
    throw bad(item.where + ": the " + known->name + " has " + std::to_string(item.length) + " bytes");
}

void Metadata::check_overlaps() const {
  std::vector<const Item*> order;
  for (const Item& item : items_)
    if (item.length != 0) order.push_back(&item);
  std::ranges::sort(order, {}, [](const Item* i) { return i->at; });
  for (std::size_t i = 1; i < order.size(); ++i)
    if (order[i]->at < order[i - 1]->at + order[i - 1]->length)
      throw bad(order[i]->where + ": its item lies on that of the " + order[i - 1]->where, code::overlap);
}

void check_sizes(const Metadata& metadata, const Layout& l) {
  const auto bad = [&](const Guid& id, const std::string& fact, std::string_view name = code::damaged) {
    return metadata.bad(metadata.where(id) + ": " + fact, name);
  };
  if (!std::has_single_bit(l.block_size) || l.block_size < smallest_block || l.block_size > largest_block)
    throw bad(file_parameters, "a block size of " + std::to_string(l.block_size) + " bytes");
  for (const auto& [id, size] :
       {std::pair(logical_sector_size, l.logical_sector), std::pair(physical_sector_size, l.physical_sector)})
    if (size != 512 && size != 4096) throw bad(id, "sectors of " + std::to_string(size) + " bytes");
  const std::string disk = "a disk of " + std::to_string(l.disk_size) + " bytes";
  if (l.disk_size == 0) throw bad(virtual_disk_size, disk, code::invalid_size);
  if (l.disk_size > largest_disk)
    throw bad(virtual_disk_size, disk + ", a VHDX has at most 64 TiB", code::disk_too_large);
  if (l.disk_size % l.logical_sector != 0)
    throw bad(virtual_disk_size, disk + " with sectors of " + std::to_string(l.logical_sector), code::invalid_size);
}

}  // namespace

void read_metadata(const Container& container, Layout& layout) {
  const Metadata metadata(container, layout.metadata);
  const auto parameters = metadata.value<std::uint64_t>(file_parameters);
  const auto flags = static_cast<std::uint32_t>(parameters >> 32);
  if ((flags & ~(leave_blocks_allocated | has_parent)) != 0)
    throw metadata.bad(metadata.where(file_parameters) + ": unknown flags " + hex(flags), code::unsupported);
  layout.fixed = (flags & leave_blocks_allocated) != 0;
  layout.block_size = static_cast<std::uint32_t>(parameters);
  layout.disk_size = metadata.value<std::uint64_t>(virtual_disk_size);
  layout.logical_sector = metadata.value<std::uint32_t>(logical_sector_size);
  layout.physical_sector = metadata.value<std::uint32_t>(physical_sector_size);
  metadata.copy(virtual_disk_id, layout.disk_id);
  check_sizes(metadata, layout);
}

}  // namespace kiln::vhdx

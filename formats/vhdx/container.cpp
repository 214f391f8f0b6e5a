#include "container.h"

#include <algorithm>
#include <cstring>

namespace kiln::vhdx {

Container::Container(File file)
    : file_(std::move(file)), header_(read_header(file_)), replay_(replay_log(file_, header_)) {}

void Container::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  if (!header_.has_log()) return file_.read_at(offset, into);
  if (offset > size() || into.size() > size() - offset)
    throw truncated(file_, "what lies at byte " + std::to_string(offset), offset + into.size());
  const std::size_t got = file_.read_some(offset, into);
  std::memset(into.data() + got, 0, into.size() - got);
  replay_.overlay.lay_over(offset, into);
}

std::uint64_t Container::hole_at(std::uint64_t offset, std::uint64_t limit) const {
  if (replay_.overlay.covers_some(offset, limit)) return 0;
  const std::uint64_t data = file_.seek(offset, true);
  return data > offset ? std::min(data - offset, limit) : 0;
}

std::uint64_t Container::data_at(std::uint64_t offset, std::uint64_t limit) const {
  if (replay_.overlay.covers_some(offset, limit)) return limit;
  const std::uint64_t hole = file_.seek(offset, false);
  return hole > offset ? std::min(hole - offset, limit) : limit;
}

}  // namespace kiln::vhdx

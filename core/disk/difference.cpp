#include "disk/difference.h"

namespace kiln {
namespace {

constexpr std::uint64_t longest_run = batch_size / chunk_size;

void add(std::vector<ChunkRun>& runs, std::uint64_t chunk, bool zeros) {
  if (!runs.empty()) {
    ChunkRun& last = runs.back();
    if (last.first + last.count == chunk && last.zeros == zeros && last.count < longest_run) {
      ++last.count;
      return;
    }
  }
  runs.push_back({chunk, 1, zeros});
}

}  // namespace

std::vector<ChunkRun> difference(const Manifest& there, const Manifest& wanted) {
  std::vector<ChunkRun> runs;
  const auto a = there.entries(), b = wanted.entries();
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (j == b.size() || (i < a.size() && a[i].index < b[j].index)) {
      add(runs, a[i++].index, true);
    } else if (i == a.size() || b[j].index < a[i].index) {
      add(runs, b[j++].index, false);
    } else {
      if (a[i].digest != b[j].digest) add(runs, b[j].index, false);
      ++i;
      ++j;
    }
  }
  return runs;
}

}  // namespace kiln

#include "catalog/usage_meter.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <tuple>

#include "catalog/chunk_index.h"
#include "catalog/store.h"
#include "disk/manifest.h"

namespace kiln {
namespace {

/// The digests of disks' chunks, each read once. What cannot be read weighs nothing: nobody pays for what is damaged.
class Manifests {
 public:
  explicit Manifests(const Store& store) : store_(store) {}

  const std::vector<Digest>& of(const Digest& content) {
    const auto [it, is_new] = read_.try_emplace(content);
    if (is_new) try {
        const Manifest manifest = Manifest::open(store_.paths.manifest(content));
        for (const Manifest::Entry& entry : manifest.entries()) it->second.push_back(entry.digest);
      } catch (const Error&) {
        it->second.clear();
      }
    return it->second;
  }

 private:
  const Store& store_;
  std::unordered_map<Digest, std::vector<Digest>> read_;
};

ChunkIndex index_of(const Store& store) {
  std::vector<std::string> ids;
  for (const PackRecord& pack : store.records.packs())
    if (std::filesystem::exists(store.paths.pack(pack.id))) ids.push_back(pack.id);
  return ChunkIndex(store.open_packs(ids));
}

/// Of the chunks in a store's packs: their stored lengths.
class PackedWeights final : public ChunkWeights {
 public:
  explicit PackedWeights(ChunkIndex index) : index_(std::move(index)) {
    for (const auto& pack : index_.packs()) {
      first_of_pack_.push_back(count_);
      count_ += pack->entries().size();
    }
  }
  std::size_t count() const override { return count_; }
  std::optional<Weight> find(const Digest& digest) const override {
    const ChunkIndex::Found found = index_.find(digest);
    if (found.entry == nullptr) return std::nullopt;
    const auto& entries = index_.packs()[found.pack]->entries();
    return Weight{first_of_pack_[found.pack] + static_cast<std::size_t>(found.entry - entries.data()),
                  found.entry->stored};
  }

 private:
  ChunkIndex index_;
  std::vector<std::size_t> first_of_pack_;  // the number of a pack's first chunk
  std::size_t count_ = 0;
};

using Key = std::tuple<std::string, std::string, Digest, bool>;  // region, owner, content, whether it is a part

Holding holding_of(const StoredChange& c, std::int64_t images) {
  return {c.region, c.owner, c.content, c.virtual_size, images, c.is_part};
}

/// What was there before the changes: what is there now, with the changes taken back.
std::map<Key, Holding> holdings_before(const UsageRecords::Pending& pending) {
  std::map<Key, Holding> out;
  for (const Holding& h : pending.holdings) out[{h.region, h.owner, h.content, h.is_part}] = h;
  for (const StoredChange& change : pending.changes) {
    const Key key{change.region, change.owner, change.content, change.is_part};
    out.try_emplace(key, holding_of(change, 0)).first->second.images += change.added ? -1 : 1;
  }
  return out;
}

/// Writes down what differs from the last sample of an owner.
class Differences {
 public:
  explicit Differences(const std::vector<UsageSample>& last) {
    for (const UsageSample& sample : last) last_[{sample.region, sample.owner}] = sample;
  }

  void add(const Moment& moment, const std::string& region, std::vector<UsageSample> now) {
    for (UsageSample& sample : now) {
      sample.moment = moment;
      sample.region = region;
      UsageSample& last = last_[{region, sample.owner}];
      const auto values = [](const UsageSample& s) { return std::tie(s.unique, s.common, s.logical, s.images); };
      if (values(last) == values(sample)) continue;
      last = sample;
      out.push_back(std::move(sample));
    }
  }

  std::vector<UsageSample> out;

 private:
  std::map<std::pair<std::string, std::string>, UsageSample> last_;
};

}  // namespace

ChunkWeights::~ChunkWeights() = default;

/// Its state before, then change by change; those of one moment are one step.
std::vector<UsageSample> steps_of(const std::string& region, const UsageRecords::Pending& pending,
                                  const ChunkWeights& weights, const ChunksOf& chunks_of) {
  Differences differences(pending.last);
  std::set<std::string> owners;
  const auto before = holdings_before(pending);
  for (const auto& [key, holding] : before)
    if (holding.region == region) owners.insert(holding.owner);
  for (const UsageSample& sample : pending.last)
    if (sample.region == region) owners.insert(sample.owner);
  StoredShares shares(weights, {owners.begin(), owners.end()});
  for (const auto& [key, holding] : before)
    if (holding.region == region && holding.images > 0) shares.change(holding, chunks_of(holding.content));
  for (std::size_t i = 0; i < pending.changes.size(); ++i) {
    const StoredChange& change = pending.changes[i];
    if (change.region == region) shares.change(holding_of(change, change.added ? 1 : -1), chunks_of(change.content));
    const bool step_ends = i + 1 == pending.changes.size() || pending.changes[i + 1].moment != change.moment;
    if (step_ends) differences.add(change.moment, region, shares.samples());
  }
  return std::move(differences.out);
}

void settle_usage(Store& store, const Moment& now) {
  for (;;) {
    const UsageRecords::Pending pending = store.usage.pending(now);
    if (pending.changes.empty()) return;
    const PackedWeights weights(index_of(store));
    Manifests manifests(store);
    std::set<std::string> regions;
    for (const StoredChange& change : pending.changes) regions.insert(change.region);
    std::vector<UsageSample> steps;
    for (const std::string& region : regions)
      std::ranges::move(
          steps_of(region, pending, weights,
                   [&](const Digest& content) -> const std::vector<Digest>& { return manifests.of(content); }),
          std::back_inserter(steps));
    if (store.usage.settle(pending, steps)) return;
  }
}

StoredShares::StoredShares(const ChunkWeights& weights, std::vector<std::string> owners)
    : weights_(weights),
      owners_(std::move(owners)),
      state_of_(weights.count()),
      seen_in_(weights.count()),
      logical_(owners_.size()),
      count_(owners_.size()) {
  std::ranges::sort(owners_);
  states_.emplace_back();  // needed by nobody
  bytes_.push_back(0);
  known_states_.emplace(Needs{}, 0);
}

std::uint32_t StoredShares::owner_at(const std::string& name) const {
  return static_cast<std::uint32_t>(std::ranges::lower_bound(owners_, name) - owners_.begin());
}

std::int64_t StoredShares::images_of(const std::string& owner, const Digest& content) const {
  const auto it = images_.find({owner_at(owner), content});
  return it == images_.end() ? 0 : it->second;
}

std::uint32_t StoredShares::state_after(std::uint32_t state, std::uint32_t owner, bool more) {
  Needs needs = states_[state];
  auto at = std::ranges::lower_bound(needs, owner, {}, &Needs::value_type::first);
  if (at == needs.end() || at->first != owner) at = needs.insert(at, {owner, 0});
  at->second += more ? 1u : -1u;
  if (at->second == 0) needs.erase(at);
  const auto [known, is_new] = known_states_.try_emplace(needs, static_cast<std::uint32_t>(states_.size()));
  if (is_new) {
    states_.push_back(std::move(needs));
    bytes_.push_back(0);
  }
  return known->second;
}

void StoredShares::change(const Holding& holding, const std::vector<Digest>& chunks) {
  const std::uint32_t who = owner_at(holding.owner);
  std::int64_t& have = images_[{who, holding.content}];
  const bool had = have > 0;
  have += holding.images;
  const auto images = static_cast<std::uint64_t>(holding.images);
  logical_[who] += images * holding.virtual_size;
  if (!holding.is_part) count_[who] += images;
  const bool has = have > 0;
  if (had == has) return;
  ++changes_;
  std::unordered_map<std::uint32_t, std::uint32_t> next;  // neighbouring chunks mostly have the same state
  for (const Digest& digest : chunks) {
    const auto weight = weights_.find(digest);
    if (!weight) continue;
    if (std::exchange(seen_in_[weight->number], changes_) == changes_) continue;  // twice on one disk
    std::uint32_t& state = state_of_[weight->number];
    const auto [to, is_new] = next.try_emplace(state, 0);
    if (is_new) to->second = state_after(state, who, has);
    bytes_[state] -= weight->bytes;
    state = to->second;
    bytes_[state] += weight->bytes;
  }
}

std::vector<UsageSample> StoredShares::samples() const {
  std::map<std::vector<std::uint32_t>, std::uint64_t> by_owners;
  for (std::size_t state = 1; state < states_.size(); ++state) {
    if (bytes_[state] == 0) continue;
    std::vector<std::uint32_t> owners;
    for (const auto& [owner, disks] : states_[state]) owners.push_back(owner);
    by_owners[owners] += bytes_[state];
  }
  std::vector<UsageSample> out(owners_.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].owner = owners_[i];
    out[i].logical = logical_[i];
    out[i].images = count_[i];
  }
  for (const auto& [owners, bytes] : by_owners) {
    if (owners.size() == 1) out[owners[0]].unique += bytes;
    const std::uint64_t share = bytes / owners.size(), rest = bytes % owners.size();
    for (std::size_t i = 0; owners.size() > 1 && i < owners.size(); ++i) out[owners[i]].common += share + (i < rest);
  }
  return out;
}

}  // namespace kiln

#include "cli/drift.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/names.h"

namespace kiln::cli {
namespace {

/// The channel that it was launched by; empty when it was not by one.
std::string channel_of(const Instance& instance, const std::optional<ImageEntry>& entry) {
  const std::string tag = parse_reference(instance.reference).tag;
  const std::string version = entry ? entry->image.version : parse_reference(instance.image).tag;
  return tag == version ? "" : tag;
}

}  // namespace

std::string Drift::text() const {
  if (state == State::newer) return fmt::format("{} is newer", to);
  if (state == State::moved) return fmt::format("{} is {} now", name, to);
  return "";
}

Json to_json(const Drift& drift) {
  constexpr const char* words[] = {"unknown", "current", "newer", "moved"};
  return {{"state", words[static_cast<int>(drift.state)]},
          {"of", drift.name.empty() ? Json(nullptr) : Json(drift.name)},
          {"to", drift.to.empty() ? Json(nullptr) : Json(drift.to)},
          {"to_id", drift.to_id.empty() ? Json(nullptr) : Json(drift.to_id)}};
}

Drift DriftCheck::of(const Instance& instance) {
  if (instance.image_id.empty() || out_of_reach_) return {};
  const auto [found, is_new] = known_.try_emplace({instance.image_id, instance.reference});
  if (!is_new) return found->second;
  try {
    if (!view_) view_ = services_.catalog().view();
    return found->second = ask(instance);
  } catch (const Error&) {
    // A server that is gone is not waited for a second time.
    out_of_reach_ = !view_.has_value();
    return {};
  }
}

Drift DriftCheck::ask(const Instance& instance) {
  const std::optional<ImageEntry> entry = view_->find_id(instance.image_id);
  const std::string name =
      entry ? entry->name_for(view_->account().name) : std::string(parse_reference(instance.image).name);
  const std::string channel = channel_of(instance, entry);
  Drift drift;
  drift.name = channel.empty() ? name : name + ":" + channel;
  auto target = view_->find(drift.name);
  if (!target && !channel.empty()) target = view_->find(drift.name = name);  // the channel was ended
  if (!target) return drift;
  drift.to = target->reference_for(view_->account().name);
  drift.to_id = target->image.id;
  const bool same = target->image.id == instance.image_id;
  const bool back = entry && target->image.created < entry->image.created;
  drift.state = same ? Drift::State::current : back ? Drift::State::moved : Drift::State::newer;
  return drift;
}

}  // namespace kiln::cli

// kiln image list: the images that an account sees, filtered.
#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/labels.h"
#include "catalog/names.h"
#include "catalog/sharing.h"
#include "cli/image_answers.h"
#include "cli/regions.h"
#include "cli/services.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

std::string state_of(const Args& args) {
  const std::string given = args.text("state");
  std::vector<std::string> known;
  for (const ImageState state : {ImageState::creating, ImageState::available, ImageState::deprecated,
                                 ImageState::obsolete, ImageState::revoked, ImageState::trashed, ImageState::failed})
    known.emplace_back(to_text(state));
  if (given.empty() || std::ranges::find(known, given) != known.end()) return given;
  const auto near = nearest(given, known);
  throw invalid(fmt::format("an image is never \"{}\"", given),
                near ? fmt::format("did you mean \"{}\"?", *near) : "the states are: " + listed(known));
}

/// A date, or an age such as "30d": the moment that long ago.
Moment moment_of(const Args& args, std::string_view name) {
  const std::string given = args.text(name);
  if (given.empty()) return {};
  try {
    return parse_moment(given);
  } catch (const Error&) {
    if (given.find_first_not_of("0123456789") != given.size() - 1 ||
        std::string_view("dhms").find(given.back()) == std::string_view::npos)
      throw;
    const std::int64_t now = unix_time(now_moment()), age = unix_time(parse_moment("+" + given)) - now;
    return moment_at(std::max<std::int64_t>(0, now - age));
  }
}

/// "web", or "alice/web".
void filter_by_name(ImageFilter& filter, const Args& args) {
  filter.owner = args.text("owner");
  if (!args.has("NAME")) return;
  const std::string given = args.text("NAME");
  const Reference wanted = parse_reference(given);
  if (!wanted.tag.empty())
    throw invalid(fmt::format("kiln image list takes a name, not \"{}\"", given),
                  fmt::format("kiln image list {}, or kiln image show {}", given.substr(0, given.find(':')), given));
  if (!wanted.owner.empty() && !filter.owner.empty() && wanted.owner != filter.owner)
    throw invalid(fmt::format("\"{}\" is not of --owner {}", given, filter.owner), "leave one of them out");
  filter.name = wanted.name;
  if (!wanted.owner.empty()) filter.owner = wanted.owner;
}

ImageFilter filter_of(const Args& args) {
  ImageFilter filter;
  filter_by_name(filter, args);
  filter.channel = args.text("channel");
  filter.tags = args.all("tag");
  filter.os = args.text("os");
  filter.state = state_of(args);
  for (const auto& [key, value] : args.pairs("property")) filter.properties[key] = value;
  if (args.has("larger")) filter.larger_than = args.size("larger", {}).count;
  if (args.has("smaller")) filter.smaller_than = args.size("smaller", {}).count;
  filter.newer_than = moment_of(args, "newer");
  filter.older_than = moment_of(args, "older");
  filter.trash = args.has("trash") || filter.state == to_text(ImageState::trashed);
  return filter;
}

/// What was offered and not answered yet is in "share list": nobody fills another one's list of images unasked.
void drop_pending(std::vector<ImageEntry>& entries, const CatalogView& view) {
  std::set<std::string> pending;
  for (const Share& share : Sharing(view).of_me())
    if (share.state == Share::State::pending) pending.insert(share.image);
  std::erase_if(entries, [&](const ImageEntry& e) {
    return pending.contains(e.image.id) && !e.is_public && !view.account().is_operator;
  });
}

int answer(Call& call, const std::vector<ImageEntry>& entries) {
  if (call.out.json()) {
    Json images = Json::array();
    for (const ImageEntry& entry : entries) images.push_back(image_json(entry));
    call.out.object({{"images", images}});
    return 0;
  }
  TextTable table{{"NAME", "VERSION", "CHANNELS", "STATE", "OWNER", ">SIZE", ">STORED", ">AGE"}};
  for (const ImageEntry& entry : entries)
    table.rows.push_back({entry.image.name, entry.image.version, listed(entry.channels),
                          std::string(to_text(entry.state())), entry.owner, format_bytes(entry.image.total_size()),
                          format_bytes(entry.image.stored_bytes), age_of(entry.image.created)});
  call.out.table(std::move(table));
  return 0;
}

int list_region(Call& call, const ImageFilter& filter) {
  const auto region = open_region(call.services, call.args.text("region"));
  std::vector<ImageEntry> entries = region->images();
  std::erase_if(entries, [&](const ImageEntry& entry) { return !filter.matches(entry); });
  if (entries.empty() && !call.out.json()) {
    call.out.line(fmt::format("no images in region {}; bring one there with: kiln image copy IMAGE --to {}",
                              region->name(), region->name()));
    return 0;
  }
  return answer(call, entries);
}

}  // namespace

int run_image_list(Call& call) {
  const ImageFilter filter = filter_of(call.args);
  if (call.args.has("region")) return list_region(call, filter);
  const CatalogView view = call.services.catalog().view();
  std::vector<ImageEntry> entries = Labels(view).find(filter, call.out.json() ? Detail::all : Detail::line);
  drop_pending(entries, view);
  if (entries.empty() && !call.out.json()) {
    const bool filtered = view.images().size() > 0;
    call.out.line(filtered ? "no images that match; see all with: kiln image list, and kiln image list --trash"
                           : "no images; make one with: kiln build FILE, or kiln import FILE --name NAME");
    return 0;
  }
  return answer(call, entries);
}

}  // namespace kiln::cli

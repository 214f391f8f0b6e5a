// kiln image diff: what differs between two images.
#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <kiln/text.h>
#include <nlohmann/json.hpp>

#include "cli/image_comparison.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace kiln::cli {
namespace {

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

/// {"count": 812, "list": the first of them}
template <class Items, class One>
Json listed(const Items& items, std::size_t limit, One&& one) {
  Json list = Json::array();
  for (std::size_t i = 0; i < std::min(items.size(), limit); ++i) list.push_back(one(items[i]));
  return {{"count", items.size()}, {"list", std::move(list)}};
}

Json change_json(const NamedChange& change) {
  return {{"name", change.name}, {"a", or_null(change.before)}, {"b", or_null(change.after)}};
}

Json file_json(const ViewedFile* file) {
  if (file == nullptr) return nullptr;
  Json json{{"mode", mode_text(file->mode)}, {"uid", file->uid}, {"gid", file->gid}, {"size", file->size}};
  if (file->is_link()) json["target"] = printable(file->target, 4096);
  return json;
}

Json file_change_json(const FileChange& change) {
  return {{"path", printable(change.path(), 4096)},
          {"what", change.what},
          {"bytes", change.bytes ? Json(*change.bytes) : Json(nullptr)},
          {"compared", !change.unsure},
          {"a", file_json(change.before)},
          {"b", file_json(change.after)}};
}

Json image_side(const ImageEntry& entry) {
  return {{"image", entry.reference()},
          {"owner", entry.owner},
          {"content", "sha256:" + to_hex(entry.image.content)},
          {"virtual_size", entry.image.virtual_size}};
}

/// The names of parts that only one of the images has, or that differ.
std::vector<std::string> parts_that_differ(const Image& a, const Image& b) {
  std::map<std::string, Digest> before, after;
  for (const ImagePart& part : a.parts) before[part.name] = part.content;
  for (const ImagePart& part : b.parts) after[part.name] = part.content;
  std::vector<std::string> out;
  for (const auto& [name, content] : before)
    if (!after.contains(name) || after[name] != content) out.push_back(name);
  for (const auto& [name, content] : after)
    if (!before.contains(name)) out.push_back(name);
  return out;
}

Json answer(const ImageEntry& a, const ImageEntry& b, const ImageComparison& found, std::size_t limit) {
  const bool same = a.image.content == b.image.content;
  Json ranges = Json::array(), texts = Json::array();
  for (const auto& [offset, length] : found.chunks.ranges) ranges.push_back({{"offset", offset}, {"length", length}});
  for (std::size_t i = 0; i < std::min(found.texts.size(), limit); ++i)
    texts.push_back({{"path", found.texts[i].path},
                     {"diff", found.texts[i].lines.empty() ? Json(nullptr) : Json(found.texts[i].lines)}});
  Json json{{"a", image_side(a)},
            {"b", image_side(b)},
            {"same_content", same},
            {"parts_differ", parts_that_differ(a.image, b.image)},
            {"chunks",
             {{"all", found.chunks.all},
              {"differ", found.chunks.differ},
              {"bytes", found.chunks.bytes},
              {"ranges", std::move(ranges)}}}};
  if (same) return json;
  const GuestDiff& guest = found.guest;
  json["system"] = listed(guest.system, limit, change_json);
  json["partitions"] = listed(guest.partitions, limit, change_json);
  json["same_boot_code"] = found.same_boot_code;
  json["kernels"] = listed(guest.kernels, limit, change_json);
  json["packages"] = listed(guest.packages, limit, change_json);
  json["files"] = {{"added", listed(guest.added, limit, file_change_json)},
                   {"removed", listed(guest.removed, limit, file_change_json)},
                   {"changed", listed(guest.changed, limit, file_change_json)},
                   {"not_compared", found.not_compared}};
  json["configuration"] = {{"count", found.texts.size()}, {"list", std::move(texts)}};
  json["notes"] = found.notes;
  return json;
}

/// The same as text. Each part is left out when nothing differs in it.
class Page {
 public:
  Page(Output& out, std::size_t limit) : out_(out), limit_(limit) {}

  void show(const std::string& heading, const std::vector<NamedChange>& changes) {
    if (changes.empty()) return;
    out_.line(fmt::format("{}  {} differ", heading, changes.size()));
    for (std::size_t i = 0; i < std::min(changes.size(), limit_); ++i) {
      const NamedChange& c = changes[i];
      if (c.before.empty())
        out_.line(fmt::format("  + {} {}", c.name, c.after));
      else if (c.after.empty())
        out_.line(fmt::format("  - {} {}", c.name, c.before));
      else
        out_.line(fmt::format("  ~ {} {} → {}", c.name, c.before, c.after));
    }
    rest(changes.size());
  }

  void show(const std::string& heading, char sign, const std::vector<FileChange>& changes) {
    if (changes.empty()) return;
    out_.line(fmt::format("{}  {}", heading, changes.size()));
    for (std::size_t i = 0; i < std::min(changes.size(), limit_); ++i)
      out_.line(fmt::format("  {} {}{}", sign, printable(changes[i].path(), 300), details(changes[i])));
    rest(changes.size());
  }

  void show(const std::vector<TextChange>& texts) {
    for (std::size_t i = 0; i < std::min(texts.size(), limit_); ++i) {
      if (texts[i].lines.empty()) {
        out_.line(fmt::format("{} differs; it is not shown because not everybody may read it", texts[i].path));
        continue;
      }
      for (const std::string& line : texts[i].lines) out_.line(line);
    }
    rest(texts.size());
  }

 private:
  void rest(std::size_t count) {
    if (count > limit_) out_.line(fmt::format("  … and {} more; see them with --limit {}", count - limit_, count));
  }

  static std::string owner(const ViewedFile& file) { return fmt::format("{}:{}", file.uid, file.gid); }
  static std::string size(const ViewedFile& file) {
    return file.is_regular() ? "  " + format_bytes(file.size)
           : file.is_link()  ? " → " + printable(file.target, 200)
                             : "";
  }
  static std::string details(const FileChange& c) {
    if (c.before == nullptr || c.after == nullptr) {
      const ViewedFile& file = c.before == nullptr ? *c.after : *c.before;
      return fmt::format("  {} {}{}", mode_text(file.mode), owner(file), size(file));
    }
    std::string text;
    for (const std::string& what : c.what) {
      if (what == "content") text += fmt::format("  {} differ", format_bytes(c.bytes.value_or(0)));
      if (what == "size") text += fmt::format("  {} → {}", format_bytes(c.before->size), format_bytes(c.after->size));
      if (what == "mode" || what == "kind") text += "  " + mode_text(c.before->mode) + " → " + mode_text(c.after->mode);
      if (what == "owner") text += "  " + owner(*c.before) + " → " + owner(*c.after);
      if (what == "target") text += size(*c.before) + size(*c.after);
    }
    return c.unsure ? text + "  not compared" : text;
  }

  Output& out_;
  std::size_t limit_;
};

void print(Output& out, const ImageEntry& a, const ImageEntry& b, const ImageComparison& found, std::size_t limit) {
  const std::string names = a.reference() + " → " + b.reference();
  const std::vector<std::string> parts = parts_that_differ(a.image, b.image);
  for (const std::string& part : parts) out.line(printable("part " + part + "  differs"));
  if (a.image.content == b.image.content) {
    out.line(fmt::format("{}  the same {}  sha256:{}", names, parts.empty() ? "content" : "system disk",
                         to_hex(a.image.content)));
    return;
  }
  const ChunkDiff& chunks = found.chunks;
  out.line(fmt::format("{}  {} of {} chunks differ, {}", names, grouped(chunks.differ), grouped(chunks.all),
                       format_bytes(chunks.bytes)));
  if (a.image.virtual_size != b.image.virtual_size)
    out.line(fmt::format("disk  {} → {}", format_bytes(a.image.virtual_size), format_bytes(b.image.virtual_size)));
  Page page(out, limit);
  page.show("system", found.guest.system);
  page.show("partitions", found.guest.partitions);
  if (!found.same_boot_code) out.line("boot code  differs");
  page.show("kernels", found.guest.kernels);
  page.show("packages", found.guest.packages);
  page.show("files added", '+', found.guest.added);
  page.show("files removed", '-', found.guest.removed);
  page.show("files changed", '~', found.guest.changed);
  page.show(found.texts);
  for (const std::string& note : found.notes) out.line("note: " + printable(note, 300));
  if (found.not_compared > 0)
    out.line(
        fmt::format("note: {} files were not compared: more than 4.0 GiB would have to be read", found.not_compared));
}

}  // namespace

int run_image_diff(Call& call) {
  const auto limit = static_cast<std::size_t>(call.args.integer("limit", 50, 1, 1'000'000));
  LocalCatalog& catalog = call.services.catalog();
  // Looking into a guest is what building from it begins with.
  const ImageEntry a = catalog.show(call.args.text("A"), Action::build);
  const ImageEntry b = catalog.show(call.args.text("B"), Action::build);
  const ImageComparison found =
      compare_images(call.services, a, b, {limit, call.args.has("thorough")}, call.stop, call.out.json());
  if (call.out.json())
    call.out.object(answer(a, b, found, limit));
  else
    print(call.out, a, b, found, limit);
  return 0;
}

}  // namespace kiln::cli

#include "catalog/publication.h"

#include <algorithm>
#include <utility>

#include "catalog/names.h"

namespace kiln {
namespace {

ImageRow row_of(const ImageDraft& draft) {
  return {.id = {},
          .region = {},
          .owner = {},
          .name = draft.name,
          .version = draft.version,
          .created = {},
          .facts = facts_text(draft.facts)};
}

Error arrived_otherwise(const std::string& what, const Digest& expected, const Digest& is) {
  return Error("what arrived is not " + what, "look for damage where it came from: kiln image verify",
               {"it should be sha256:" + to_hex(expected), "it is        sha256:" + to_hex(is)});
}

}  // namespace

Publication::Publication(std::shared_ptr<Store> store, ImageDraft draft, std::string owner,
                         std::shared_ptr<const SigningKey> signing_key)
    : store_(std::move(store)),
      draft_(std::move(draft)),
      owner_(std::move(owner)),
      signing_key_(std::move(signing_key)),
      disk_(store_, draft_.virtual_size, owner_, row_of(draft_)) {}

void Publication::add_part(KeptPart kept) {
  require_name("role of a part", kept.part.role);
  require_name("name of a part", kept.part.name);
  const auto same = [&](const KeptPart& other) { return other.part.name == kept.part.name; };
  if (std::ranges::any_of(parts_, same))
    throw invalid("two parts of image " + draft_.name + " are called \"" + kept.part.name + "\"",
                  "give each part a name of its own, such as disk1, disk2");
  parts_.push_back(std::move(kept));
}

void Publication::set_parts(std::vector<NewPart> parts) {
  parts_.clear();
  for (const NewPart& one : parts)
    add_part({{one.role, one.name, one.disk->content(), one.disk->virtual_size()},
              one.disk->lease(),
              one.disk->stored_bytes()});
  lent_parts_ = std::move(parts);
}

NewImage Publication::new_image() const {
  NewImage add{.image = image_,
               .region = home_region,
               .owner = owner_,
               .channel = draft_.channel,
               .parents = {},
               .disk = {},
               .part_leases = {},
               .original = original_,
               .signing_key = signing_key_};
  for (const KeptPart& kept : parts_) {
    add.image.parts.push_back(kept.part);
    add.image.stored_bytes += kept.stored_bytes;
    add.part_leases.push_back({kept.lease, kept.part.content, kept.stored_bytes});
  }
  if (original_)
    add.parents = original_->parents;
  else if (const auto parent = draft_.facts.find("parent"); parent != draft_.facts.end())
    add.parents = {parent->second};
  return add;
}

void Publication::require_original() const {
  if (!original_) return;
  const Image& image = original_->image;
  const std::string name = "image " + original_->reference();
  if (disk_.content() != image.content) throw arrived_otherwise("the disk of " + name, image.content, disk_.content());
  if (parts_.size() != image.parts.size()) throw Error("a part of " + name + " has not arrived", "copy it again");
  for (std::size_t i = 0; i < parts_.size(); ++i)
    if (parts_[i].part.content != image.parts[i].content)
      throw arrived_otherwise(image.parts[i].name + " of " + name, image.parts[i].content, parts_[i].part.content);
}

void Publication::finish() {
  image_.content = disk_.complete();
  require_original();
  image_.id = original_ ? original_->image.id : disk_.id();
  image_.name = draft_.name;
  image_.version = draft_.version;
  image_.virtual_size = draft_.virtual_size;
  image_.facts = draft_.facts;
  NewImage add = new_image();
  Image recorded;
  disk_bytes_ = disk_.record([&](const NewDisk& disk) -> std::optional<std::uint64_t> {
    add.disk = disk;
    auto image = store_->images.add(add);
    if (!image) return std::nullopt;
    recorded = std::move(*image);
    return recorded.stored_bytes - add.image.stored_bytes;
  });
  image_ = std::move(recorded);
  disk_.redeemed();
  lent_parts_.clear();
}

}  // namespace kiln

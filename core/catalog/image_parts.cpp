#include "catalog/image_parts.h"

#include <algorithm>

#include <kiln/error.h>

namespace kiln {

std::vector<Digest> contents_of(const Image& image) {
  std::vector<Digest> out;
  if (!image.content.is_zero_chunk()) out.push_back(image.content);
  for (const ImagePart& part : image.parts) out.push_back(part.content);
  return out;
}

bool has_content(const Image& image, const Digest& content) {
  return std::ranges::count(contents_of(image), content) > 0;
}

const ImagePart& part_named(const Image& image, const std::string& name) {
  const auto part = std::ranges::find(image.parts, name, &ImagePart::name);
  if (part != image.parts.end()) return *part;
  std::string names;
  for (const ImagePart& one : image.parts) names += (names.empty() ? "" : ", ") + one.name;
  throw invalid("image " + image.name + ":" + image.version + " has no part \"" + name + "\"",
                names.empty() ? "it has one disk only: leave the part out" : "its parts are " + names);
}

Image disk_of(Image image, const ImagePart& part) {
  image.content = part.content;
  image.virtual_size = part.virtual_size;
  image.parts.clear();
  return image;
}

}  // namespace kiln

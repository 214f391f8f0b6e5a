#pragma once
// What people attach to images to find them again: channels, tags, properties, a description.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/image_records.h"
#include "catalog/view.h"

namespace kiln {

/// What image list filters by. What is not set does not count.
struct ImageFilter {
  std::string name = {}, owner = {}, channel = {}, os = {}, state = {};
  std::vector<std::string> tags = {};  ///< all of them
  std::map<std::string, std::string> properties = {};
  std::optional<std::uint64_t> larger_than = {}, smaller_than = {};  ///< virtual size in bytes
  Moment newer_than = {}, older_than = {};
  bool trash = false;  ///< only what is in the trash; otherwise only what is not

  bool matches(const ImageEntry&) const;
};

/// Errors: as CatalogView::resolve().
class Labels {
 public:
  explicit Labels(CatalogView view) : view_(std::move(view)) {}

  /// Filtering may need more than `detail`; then there is more.
  std::vector<ImageEntry> find(const ImageFilter&, Detail = Detail::all) const;

  /// Points a channel of the image's name at it, in one step. Throws invalid() when a version is called like it.
  ImageEntry promote(std::string_view reference, const std::string& channel);
  /// Points it back to where it pointed before; versions that cannot be used any longer are passed over. Done again, it
  /// goes further back.
  ImageEntry roll_back(std::string_view name, const std::string& channel);
  /// The channel points nowhere any longer; its history stays. Throws invalid() when it points nowhere.
  void remove_channel(std::string_view name, const std::string& channel);
  std::vector<ChannelMove> history(std::string_view name, const std::string& channel) const;

  struct Edit {
    std::vector<std::string> add_tags = {}, remove_tags = {};
    std::map<std::string, std::optional<std::string>> properties = {};  ///< nothing: removed
    std::optional<std::string> description = {};
  };
  ImageEntry edit(std::string_view reference, const Edit&);

 private:
  ImageEntry one_of(std::string_view name) const;
  ImageEntry mine_of(std::string_view name) const;
  CatalogView view_;
};

}  // namespace kiln

#pragma once
// A catalog's folder as a region: another one of this host or of a network's file system, or this home's own.

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "catalog/chunk_index.h"
#include "catalog/local_catalog.h"
#include "catalog/region/region.h"

namespace kiln {

/// Records and bytes are those of a LocalCatalog, so everything that holds for one holds here.
class FolderRegion final : public Region {
 public:
  FolderRegion(std::string name, std::shared_ptr<LocalCatalog> catalog)
      : name_(std::move(name)), catalog_(std::move(catalog)), account_(catalog_->view().account()) {}

  const std::string& name() const override { return name_; }
  const Account& account() const override { return account_; }

  std::vector<ImageEntry> images() const override;
  ImageEntry resolve(std::string_view reference, Action) const override;
  Manifest manifest(const Image& image) const override { return catalog_->manifest(image); }
  std::shared_ptr<const BlockReader> read(const Image& image) const override { return catalog_->read(image); }
  void read_chunk(const Digest&, std::span<std::byte> into) const override;
  std::unique_ptr<RegionSink> receive(const ImageEntry&, const Manifest&, const std::string& channel) override;
  bool follow(ImageEntry&, const Lifecycle& original) override;
  void point(const ImageEntry&, const std::string& channel) override;

 private:
  std::string name_;
  std::shared_ptr<LocalCatalog> catalog_;
  Account account_;
  mutable std::mutex mutex_;
  mutable std::optional<ChunkIndex> index_;  // of all packs, made when a chunk is asked for
};

}  // namespace kiln

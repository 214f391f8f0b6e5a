#pragma once
// A part of an image, stored before the image is published.

#include <memory>
#include <string>

#include <kiln/catalog.h>

#include "catalog/disk_intake.h"

namespace kiln {

class StoredPart final : public PartSink {
 public:
  /// `owner`: whose the image will be.
  StoredPart(std::shared_ptr<Store> store, std::uint64_t virtual_size, const std::string& owner)
      : store_(std::move(store)), disk_(store_, virtual_size, owner, {}) {}
  ~StoredPart() override { disk_.end_part(); }

  bool knows(const Digest& digest) const override { return disk_.knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return disk_.encode(std::move(batch));
  }
  void append(Encoded& encoded) override { disk_.append(encoded); }
  void store(Encoded& encoded) override { disk_.store(encoded); }
  void finish() override {
    (void)disk_.complete();
    stored_bytes_ = disk_.record([this](const NewDisk& add) { return store_->records.keep_part(add); });
  }

  /// For resume(), leave() and figures.
  DiskIntake& disk() { return disk_; }
  const DiskIntake& disk() const { return disk_; }

  const Digest& content() const override { return disk_.content(); }
  std::uint64_t virtual_size() const override { return disk_.size(); }
  std::uint64_t new_chunks() const override { return disk_.new_chunks(); }
  std::uint64_t all_chunks() const override { return disk_.all_chunks(); }
  std::uint64_t stored_bytes() const override { return stored_bytes_; }
  std::string lease() const override { return disk_.id(); }
  std::shared_ptr<const BlockReader> open() const override;

 private:
  std::shared_ptr<Store> store_;
  DiskIntake disk_;
  std::uint64_t stored_bytes_ = 0;
};

}  // namespace kiln

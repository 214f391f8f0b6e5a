#pragma once
// One publish: takes the system disk's chunks in (disk_intake.h), and makes the image exist, with its parts, in one
// transaction, which ends all of its leases.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kiln/catalog.h>

#include "catalog/disk_intake.h"

namespace kiln {

/// A part whose content a lease keeps until the image names it.
struct KeptPart {
  ImagePart part;
  std::string lease;
  std::uint64_t stored_bytes = 0;  ///< that it added to the store
};

class Publication final : public ImageSink {
 public:
  /// `owner`: whose the image will be. `signing_key`: what signs it; null: nobody does.
  Publication(std::shared_ptr<Store>, ImageDraft, std::string owner,
              std::shared_ptr<const SigningKey> signing_key = {});

  bool knows(const Digest& digest) const override { return disk_.knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return disk_.encode(std::move(batch));
  }
  void append(Encoded& encoded) override { disk_.append(encoded); }
  void store(Encoded& encoded) override { disk_.store(encoded); }
  void finish() override;
  void failed(const std::string& why) noexcept override { disk_.failed(why); }

  /// Before finish(): the image is a copy of this one, and keeps its id, parents, labels and dates.
  void take_over(ImageEntry original) { original_ = std::move(original); }
  /// Before finish(): the next of its parts.
  void add_part(KeptPart);
  /// For resume(), leave() and figures.
  DiskIntake& disk() { return disk_; }
  const DiskIntake& disk() const { return disk_; }
  /// After finish(): what the system disk added to the store.
  std::uint64_t disk_bytes() const { return disk_bytes_; }

  void set_facts(Facts facts) override { draft_.facts = std::move(facts); }
  void set_parts(std::vector<NewPart>) override;
  const Image& image() const override { return image_; }
  std::uint64_t new_chunks() const override { return disk_.new_chunks(); }
  std::uint64_t all_chunks() const override { return disk_.all_chunks(); }

 private:
  void require_original() const;
  NewImage new_image() const;

  std::shared_ptr<Store> store_;
  ImageDraft draft_;
  std::string owner_;
  std::optional<ImageEntry> original_;
  std::shared_ptr<const SigningKey> signing_key_;
  std::vector<KeptPart> parts_;
  std::vector<NewPart> lent_parts_;  // whose leases last as long as they do
  Image image_;
  std::uint64_t disk_bytes_ = 0;
  DiskIntake disk_;
};

}  // namespace kiln

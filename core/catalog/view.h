#pragma once
// The catalog as one account sees it: which images there are for it, and which one a reference means. Every verb gets
// its image here, so every verb is authorised here.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/authority.h"
#include "catalog/image_entry.h"
#include "catalog/image_records.h"

namespace kiln {

class Store;
struct ImageChange;
using ImageDecision = std::function<ImageChange(const ImageEntry& now)>;

class CatalogView {
 public:
  CatalogView(std::shared_ptr<Store> store, Account account) : store_(std::move(store)), account_(std::move(account)) {}

  Store& store() const noexcept { return *store_; }
  const std::shared_ptr<Store>& shared_store() const noexcept { return store_; }
  const Account& account() const noexcept { return account_; }

  /// Everything that this account sees, by owner and name, the newest first.
  std::vector<ImageEntry> images(Detail = Detail::all) const;
  /// The image that a reference means, when this account may do that with it.
  ///
  /// "name" is the newest that is not deprecated, "name:version" or "name:channel" this one, "owner/name…" that
  /// owner's, an id itself. Without an owner one's own images come first, then public ones, then those that were shared
  /// and accepted, then offers. Throws invalid() with the nearest name when there is none for this account, and
  /// refused() when there is one but the action is not allowed.
  ImageEntry resolve(std::string_view reference, Action) const;
  /// The same, nothing instead of invalid().
  std::optional<ImageEntry> find(std::string_view reference) const;
  /// By id; nothing when there is none, or none for this account.
  std::optional<ImageEntry> find_id(const std::string& id) const;

  Standing standing(const ImageEntry&) const;

  /// Changes the image that a reference means. Whether that is allowed is asked once more inside the transaction, of
  /// the image as it is then; see ImageRecords::change(). Returns it as it is afterwards.
  ImageEntry change(std::string_view reference, Action, const ImageDecision&) const;

 private:
  std::shared_ptr<Store> store_;
  Account account_;
};

/// Marks every image one of whose ancestors among them is revoked.
void inherit_revocations(std::vector<ImageEntry>&);

}  // namespace kiln

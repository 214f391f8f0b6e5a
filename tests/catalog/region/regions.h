#pragma once
// Two catalogs and a region between them, of either kind.

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "catalog/accounts.h"
#include "catalog/fixture.h"
#include "catalog/region/copy.h"
#include "catalog/region/folder_region.h"

namespace kiln::test {

enum class RegionKind { folder, bucket };

/// A home of one account, with a region "west" beside it.
class Regions : public testing::TestWithParam<RegionKind> {
 protected:
  /// A home's catalog as a region, used as that account.
  FolderRegion home(const std::string& account = "alice", const std::string& which = "home") const {
    const auto catalog = std::make_shared<LocalCatalog>(folder / which, Account{account, account == "operator"});
    return {home_region, catalog};
  }
  std::unique_ptr<Region> west(const std::string& account = "alice") const {
    const auto catalog = std::make_shared<LocalCatalog>(folder / "west", Account{account, account == "operator"});
    return std::make_unique<FolderRegion>("west", catalog);
  }
  /// The disk of version 2 differs from that of version 1 in one chunk.
  Image publish(const std::string& version, const std::string& channel = {}, const std::string& account = "alice",
                const std::string& which = "home") {
    LocalCatalog catalog(folder / which, Account{account, false});
    MemoryDisk disk = make_disk(size, 1);
    if (version == "2") disk.flip(size / 2);
    return test::publish(catalog, disk, {"web", version, channel, 0, {{"os.distro", "debian"}}}).image;
  }
  static CopyReport copy(const Region& from, const std::string& reference, Region& to) {
    return copy_image(from, from.resolve(reference, Action::copy), to);
  }
  static std::vector<std::string> names(const Region& region) { return names_of(region.images()); }

  static constexpr std::uint64_t size = 3 << 20;
  TempDir folder;
};

}  // namespace kiln::test

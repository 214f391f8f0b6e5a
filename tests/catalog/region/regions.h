#pragma once
// Two catalogs and a region between them, of either kind.

#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "catalog/accounts.h"
#include "catalog/fixture.h"
#include "catalog/region/bucket_region.h"
#include "catalog/region/copy.h"
#include "catalog/region/folder_region.h"
#include "support/rgw.h"

namespace kiln::test {

/// A home's catalog as a region, used as that account; "operator" is one.
inline FolderRegion folder_region(const std::string& name, const std::filesystem::path& folder,
                                  const std::string& account) {
  return {name, std::make_shared<LocalCatalog>(folder, Account{account, account == "operator"})};
}

inline s3::BucketPlace bucket_place(const std::string& url) {
  return {.url = url, .access_key = ObjectStore::access_key, .secret_key = ObjectStore::secret_key};
}

/// For a thread: what it throws is a failure that tells why, and not the end of all tests.
template <class F>
auto reporting(F work) {
  return [work] {
    try {
      work();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  };
}

/// A home with the versions "web:1" and "web:2", which differ in one chunk.
class Homes : public testing::Test {
 protected:
  FolderRegion home(const std::string& account = "alice", const std::string& which = "home") const {
    return folder_region(home_region, folder / which, account);
  }
  Image publish(const std::string& version, const std::string& channel = {}) {
    LocalCatalog catalog(folder / "home", Account{"alice", false});
    MemoryDisk disk = make_disk(size, 1);
    if (version == "2") disk.flip(size / 2);
    return test::publish(catalog, disk, {"web", version, channel, 0, {{"os.distro", "debian"}}}).image;
  }
  static CopyReport copy(const Region& from, const std::string& reference, Region& to) {
    return copy_image(from, from.resolve(reference, Action::copy), to);
  }
  /// Of those that are there: one that failed, or whose copier was killed, keeps its error.
  static std::vector<std::string> names(const Region& region) {
    std::vector<ImageEntry> images = region.images();
    std::erase_if(images, [](const ImageEntry& entry) { return !entry.is_there(); });
    return names_of(images);
  }

  static constexpr std::uint64_t size = 3 << 20;
  TempDir folder;
};

/// With a bucket of its own.
class WithBucket : public Homes {
 protected:
  BucketRegion bucket(const std::string& account = "alice") const {
    return {"west", bucket_place(url), Account{account, account == "operator"}, folder / "cache"};
  }
  /// What a copier that was killed had sent may arrive later: waits until nothing does.
  void wait_for_stragglers() const {
    for (std::size_t before = 0, now = objects.list("").size(); now != before;) {
      before = now;
      std::this_thread::sleep_for(std::chrono::seconds(1));
      now = objects.list("").size();
    }
  }

  std::string url = ObjectStore::shared().new_bucket();
  s3::Bucket objects{bucket_place(url)};
};

enum class RegionKind { folder, bucket };

/// With a region "west" of either kind.
class Regions : public Homes, public testing::WithParamInterface<RegionKind> {
 protected:
  std::unique_ptr<Region> west(const std::string& account = "alice") {
    if (GetParam() == RegionKind::folder)
      return std::make_unique<FolderRegion>(
          "west", std::make_shared<LocalCatalog>(folder / "west", Account{account, account == "operator"}));
    if (url_.empty()) url_ = ObjectStore::shared().new_bucket();
    return std::make_unique<BucketRegion>("west", bucket_place(url_), Account{account, account == "operator"},
                                          folder / "cache");
  }

 private:
  std::string url_;
};

}  // namespace kiln::test
